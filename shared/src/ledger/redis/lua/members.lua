-- Every member that did not leave: owner and what is kept of it, then the same of those that were lost.

return {call('HGETALL', P .. 'members'), call('HGETALL', P .. 'lost')}
