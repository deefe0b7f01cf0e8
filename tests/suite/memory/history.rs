//! A random history: whatever members, beats and people may ask of a ledger, in any order.

use std::time::Duration;

use upbeat_shared::clock::{earlier, later};
use upbeat_shared::id::{OwnerId, Seq, TaskId, Token};
use upbeat_shared::ledger::{
    Action, Advance, ClaimAnswer, ClaimRequest, Due, Expect, LeaseRequest, Lost, Mark, NewEntry, NewSchedule,
    OwnedClaim, Park, Postpone, PutAnswer, Retention, Settlement, Store, TaskFilter,
};
use upbeat_shared::message::{Message, Payload, Priority};
use upbeat_shared::occurrence::ScheduleRecord;
use upbeat_shared::schedule::{SkipReason, SkippedRange};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use upbeat_shared::verdict::{RunErrorKind, Verdict};
use upbeat_tests::dice::Dice;
use upbeat_tests::message::{
    definition_of, failure, full_message, heartbeat, instant, message_for, occurrence, queue, schedule_id,
};
use uuid::Uuid;

use super::twins::Twins;

const QUEUES: [&str; 3] = ["mail", "reports", "default"];
const SCHEDULES: [&str; 2] = ["nightly", "hourly"];

/// What was published and claimed so far, and chance.
pub(super) struct History {
    dice: Dice,
    made: u128,
    messages: Vec<Message>,
    runs: Vec<(OwnerId, OwnedClaim)>,
    owners: Vec<OwnerId>,
    beats: u64,
    schedules: Vec<ScheduleRecord>,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let owners = (1..=4).map(|number| OwnerId(Uuid::from_u128(number))).collect();
        Self {
            dice: Dice::new(seed),
            made: 0,
            messages: Vec::new(),
            runs: Vec::new(),
            owners,
            beats: 0,
            schedules: Vec::new(),
        }
    }

    /// So many steps, told to both twins; now and then everything is looked at.
    pub(super) async fn tell(&mut self, twins: &Twins, steps: usize) {
        let schedules = SCHEDULES.map(schedule_id);
        for step in 1..=steps {
            self.step(twins).await;
            if step % 40 == 0 {
                twins.compare(&self.owners, &schedules).await;
                twins.find(&self.filter()).await;
            }
        }
    }

    async fn step(&mut self, twins: &Twins) {
        match self.dice.below(26) {
            0..=3 => self.add(twins).await,
            4..=6 => self.promote(twins).await,
            7..=10 => self.claim(twins).await,
            11..=14 => self.settle(twins).await,
            15 => self.park(twins).await,
            16 => self.postpone(twins).await,
            17 => self.act(twins).await,
            18 => self.release_or_leave(twins).await,
            19 => self.beat(twins).await,
            20 => self.reap(twins).await,
            21 => self.change_schedule(twins).await,
            22 => self.advance(twins).await,
            23 => self.lease(twins).await,
            24 => self.purge_or_pause(twins).await,
            _ => self.time_passes(twins),
        }
    }

    fn seconds(&mut self, below: usize) -> Duration {
        Duration::from_secs(self.dice.below(below) as u64)
    }

    fn number(&mut self, below: usize) -> i64 {
        i64::try_from(self.dice.below(below)).expect("a small number")
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.dice.below(one_in) == 0
    }

    /// Messages that were seen before: mostly of late, so that several things happen to one task.
    fn known(&mut self, count: usize) -> Vec<Message> {
        let window = if self.chance(3) { 1000 } else { 12 };
        let since = self.messages.len().saturating_sub(window);
        self.dice.picks(&self.messages[since..], count)
    }

    /// A message that nobody has seen.
    fn fresh(&mut self, twins: &Twins) -> Message {
        self.made += 1;
        let queue = QUEUES[self.dice.below(QUEUES.len())];
        let mut message = if self.chance(8) { full_message() } else { message_for(queue) };
        // In an order of their own, so that the order recorded is not that of the ids.
        message.id = TaskId(Uuid::from_u128(self.made.reverse_bits() | self.made));
        message.priority =
            Priority::new(u8::try_from(self.dice.below(10)).expect("small")).expect("at most 9");
        let now = now(twins);
        if self.chance(4) {
            message.expires_at = Some(later(now, self.seconds(300)));
        }
        if self.chance(5) {
            message.deadline_at = Some(later(now, self.seconds(300)));
        }
        if self.chance(6) {
            let age = self.seconds(10 * 24 * 3600);
            message.first_published = Some(earlier(now, age));
        }
        if self.chance(10) {
            message.seq = Seq(self.number(3));
        }
        if self.chance(3) {
            message.unique = Some(self.unique());
        }
        message
    }

    /// Of few keys, so that they meet.
    fn unique(&mut self) -> Unique {
        let unique = Unique::by(["a", "b", "c"][self.dice.below(3)]);
        let unique =
            if self.chance(3) { unique.within(self.seconds(600) + Duration::from_secs(1)) } else { unique };
        if self.chance(2) { unique.replacing() } else { unique }
    }

    fn entry(&mut self, twins: &Twins) -> NewEntry {
        let message = self.fresh(twins);
        self.messages.push(message.clone());
        let due = match self.dice.below(3) {
            0 => Due::In(Duration::ZERO),
            1 => Due::In(self.seconds(120)),
            _ => Due::At(earlier(later(now(twins), self.seconds(120)), self.seconds(120))),
        };
        let cover = if self.chance(3) { Duration::from_secs(5) } else { Duration::ZERO };
        NewEntry { message, due, cover }
    }

    async fn add(&mut self, twins: &Twins) {
        let mut entries: Vec<NewEntry> = (0..=self.dice.below(3)).map(|_| self.entry(twins)).collect();
        if let Some(known) = self.known(1).pop() {
            entries.push(NewEntry { message: known, due: Due::In(Duration::ZERO), cover: Duration::ZERO });
        }
        twins.ask("add", async |store| store.agenda.add(entries.clone()).await).await;
        if self.chance(4) {
            // Published without a row.
            let message = self.fresh(twins);
            self.messages.push(message);
        }
    }

    async fn promote(&mut self, twins: &Twins) {
        let (limit, lease) = (1 + self.dice.below(5), self.seconds(60));
        let due = twins.ask("due", async |store| store.agenda.due(limit, lease).await).await;
        let mut marks = Vec::new();
        for entry in due.entries {
            if !self.chance(6) {
                marks.push(Mark { id: entry.message.id, seq: entry.message.seq });
            }
            self.messages.push(entry.message);
        }
        if let Some(message) = self.known(1).pop() {
            marks.push(Mark { id: message.id, seq: message.seq });
        }
        twins.ask("mark", async |store| store.agenda.mark(marks.clone()).await).await;
    }

    async fn claim(&mut self, twins: &Twins) {
        let Some(owner) = self.dice.pick(&self.owners) else { return };
        let count = 1 + self.dice.below(4);
        let messages = self.known(count);
        let batch: Vec<ClaimRequest> = messages
            .into_iter()
            .map(|message| ClaimRequest::new(message, Token(self.number(1 << 30))))
            .collect();
        self.claim_as(twins, owner, &batch).await;
        if self.chance(5) {
            self.claim_as(twins, owner, &batch).await;
        }
    }

    async fn claim_as(&mut self, twins: &Twins, owner: OwnerId, batch: &[ClaimRequest]) {
        let claim = twins.ask("claim", async |store| store.ledger.claim(owner, batch.to_vec()).await);
        for (request, answer) in batch.iter().zip(claim.await) {
            if let ClaimAnswer::Acquired(claim) = answer {
                let claim = OwnedClaim { id: request.message.id, fence: claim.fence, token: request.token };
                self.runs.push((owner, claim));
            }
        }
    }

    fn verdict(&mut self) -> Verdict {
        let delay = self.seconds(90);
        match self.dice.below(8) {
            0 => Verdict::Succeeded { result: Some(Payload::json(&self.made.to_string()).expect("plain")) },
            1 | 2 => Verdict::Succeeded { result: None },
            3 | 4 => Verdict::Retry { delay, error: failure("again") },
            5 => Verdict::Snooze { delay },
            6 => Verdict::Dead { error: failure("enough") },
            _ if self.chance(2) => Verdict::Cancelled { reason: "no".to_owned() },
            _ => Verdict::Released { reason: "shutdown".to_owned() },
        }
    }

    async fn settle(&mut self, twins: &Twins) {
        let count = 1 + self.dice.below(3);
        // Mostly what was claimed lately, sometimes what was settled long ago.
        let recent = self.runs.len().saturating_sub(if self.chance(3) { 1000 } else { 6 });
        let runs = self.dice.picks(&self.runs[recent..], count);
        let mut batch = Vec::new();
        for (owner, claim) in runs {
            let then = if self.chance(6) { vec![self.entry(twins)] } else { Vec::new() };
            batch.push(Settlement { owner, claim, verdict: self.verdict(), then });
        }
        twins.ask("settle", async |store| store.ledger.settle(batch.clone()).await).await;
    }

    async fn park(&mut self, twins: &Twins) {
        let Some(message) = self.known(1).pop() else { return };
        let dead_after = self.chance(2).then_some((Duration::from_secs(600), RunErrorKind::UnknownName));
        let (delay, max_delay) = (self.seconds(30), Duration::from_secs(20));
        let park = Park { message, note: "unknown".to_owned(), delay, max_delay, dead_after };
        let parks = vec![park.clone(), park];
        twins.ask("park", async |store| store.agenda.park(parks.clone()).await).await;
    }

    async fn postpone(&mut self, twins: &Twins) {
        let Some(message) = self.known(1).pop() else { return };
        let postpone = Postpone { id: message.id, seq: message.seq, by: self.seconds(300) };
        twins.ask("postpone", async |store| store.agenda.postpone(vec![postpone]).await).await;
    }

    async fn act(&mut self, twins: &Twins) {
        let action = match self.dice.below(3) {
            0 => Action::Cancel { reason: "not needed".to_owned() },
            1 => Action::Retry,
            _ => Action::Drop,
        };
        let mut ids: Vec<TaskId> = self.known(4).iter().map(|message| message.id).collect();
        // What runs, or ran a moment ago.
        ids.extend(self.runs.iter().rev().take(2).map(|(_, claim)| claim.id));
        if self.chance(4) {
            ids.push(self.fresh(twins).id);
        }
        twins.ask("act", async |store| store.inspect.act(ids.clone(), action.clone()).await).await;
    }

    async fn release_or_leave(&mut self, twins: &Twins) {
        let Some(owner) = self.dice.pick(&self.owners) else { return };
        let claims: Vec<OwnedClaim> =
            self.dice.picks(&self.runs, 5).iter().map(|(_, claim)| *claim).collect();
        twins.ask("release", async |store| store.ledger.release(owner, claims.clone()).await).await;
        if self.chance(4) {
            twins.ask("leave", async |store| store.ledger.leave(owner).await).await;
            self.replace(owner);
        }
    }

    /// A member that is gone comes back as another.
    fn replace(&mut self, owner: OwnerId) {
        self.made += 1;
        let new = OwnerId(Uuid::from_u128(self.made << 64));
        self.owners.retain(|other| *other != owner);
        self.owners.push(new);
    }

    async fn beat(&mut self, twins: &Twins) {
        self.beats += 1;
        for owner in self.owners.clone() {
            let beat = heartbeat(owner, self.beats);
            let heartbeat = async |store: &Store| {
                let mut answer = store.ledger.heartbeat(beat.clone()).await?;
                // Which is told of first means nothing.
                answer.cancels.sort_unstable();
                Ok(answer)
            };
            twins.ask("heartbeat", heartbeat).await;
        }
    }

    async fn reap(&mut self, twins: &Twins) {
        let Some(owner) = self.dice.pick(&self.owners) else { return };
        let counter = if self.chance(3) { self.beats + 1 } else { self.beats };
        let lost = vec![Lost { owner, counter }];
        let report = twins.ask("reap", async |store| store.agenda.reap(lost.clone(), 3).await).await;
        if report.retired.contains(&owner) && self.chance(2) {
            self.replace(owner);
        }
    }

    async fn change_schedule(&mut self, twins: &Twins) {
        let id = schedule_id(SCHEDULES[self.dice.below(SCHEDULES.len())]);
        let known = self.schedules.iter().find(|schedule| schedule.id == id).cloned();
        if let Some(known) = &known
            && self.chance(3)
        {
            let remove = async |store: &Store| store.catalog.remove(id.clone(), known.revision).await;
            twins.ask("remove", remove).await;
            self.schedules.retain(|schedule| schedule.id != id);
            return;
        }
        let expect = known.map_or(Expect::Absent, |known| Expect::Revision(known.revision));
        let definition = definition_of(["*/5 * * * *", "0 * * * *"][self.dice.below(2)]);
        let new = NewSchedule { id, definition, source: "upbeat.toml".to_owned() };
        let put = twins.ask("put", async |store| store.catalog.put(new.clone(), expect).await).await;
        if let PutAnswer::Stored(record) = put {
            self.schedules.retain(|schedule| schedule.id != record.id);
            self.schedules.push(*record);
        }
    }

    async fn advance(&mut self, twins: &Twins) {
        let Some(schedule) = self.dice.pick(&self.schedules) else { return };
        let now = now(twins);
        let to = if self.chance(5) { later(now, self.seconds(60)) } else { now };
        let fire: Vec<NewEntry> = (0..self.dice.below(3))
            .map(|minutes| occurrence(&schedule, earlier(now, Duration::from_secs(60 * minutes as u64))))
            .collect();
        self.messages.extend(fire.iter().map(|entry| entry.message.clone()));
        let gap = SkippedRange { from: schedule.cursor, until: to, count: 3, reason: SkipReason::Misfire };
        let skipped = if self.chance(2) { vec![gap] } else { Vec::new() };
        let advance = Advance {
            id: schedule.id.clone(),
            incarnation: schedule.incarnation,
            revision: schedule.revision,
            from: schedule.cursor,
            to,
            fire,
            skipped,
        };
        twins.ask("advance", async |store| store.catalog.advance(vec![advance.clone()]).await).await;
        let get = twins.ask("get", async |store| store.catalog.get(vec![schedule.id.clone()]).await);
        for record in get.await {
            self.schedules.retain(|schedule| schedule.id != record.id);
            // A stale view now and then: what is planned from it conflicts.
            let seen = if self.chance(6) { schedule.clone() } else { record };
            self.schedules.push(seen);
        }
    }

    async fn lease(&mut self, twins: &Twins) {
        let Some(owner) = self.dice.pick(&self.owners) else { return };
        let names = ["a", "b", "c"].map(str::to_owned);
        let ttl = self.seconds(20);
        let requests: Vec<LeaseRequest> =
            self.dice.picks(&names, 2).into_iter().map(|name| LeaseRequest { name, ttl }).collect();
        twins.ask("acquire", async |store| store.leases.acquire(owner, requests.clone()).await).await;
        if self.chance(3) {
            let given = self.dice.picks(&names, 2);
            twins.ask("give up", async |store| store.leases.give_up(owner, given.clone()).await).await;
        }
    }

    async fn purge_or_pause(&mut self, twins: &Twins) {
        if self.chance(2) {
            let (name, paused) = (queue(QUEUES[self.dice.below(QUEUES.len())]), self.chance(2));
            twins.ask("pause", async |store| store.inspect.pause(name.clone(), paused).await).await;
            return;
        }
        let details = self.seconds(600);
        let retention = Retention {
            details,
            succeeded: self.chance(3).then_some(details * 2),
            cancelled: self.chance(3).then_some(details / 2),
            expired: self.chance(3).then_some(details * 3),
            dead: self.chance(2).then_some(details * 2),
            ids: details * 3,
            occurrences: self.seconds(3600),
        };
        // Without a limit: which of several that may go goes first is a store's own business.
        twins.ask("purge", async |store| store.inspect.purge(retention, 100_000).await).await;
    }

    fn time_passes(&mut self, twins: &Twins) {
        let by = if self.chance(6) { self.seconds(4000) } else { self.seconds(40) };
        twins.clock.forward(by + Duration::from_micros(self.dice.below(1_000_000) as u64));
    }

    fn filter(&mut self) -> TaskFilter {
        let states = self.dice.picks(&TaskState::ALL, 2);
        let queue = self.chance(2).then(|| queue(QUEUES[0]));
        let tag = self.chance(2).then(|| "eu".to_owned());
        let schedule = self.chance(4).then(|| schedule_id(SCHEDULES[0]));
        let since = self.chance(3).then(|| instant("2026-05-06T12:10:00Z"));
        TaskFilter { states, queue, tag, schedule, since, name: None }
    }
}

fn now(twins: &Twins) -> jiff::Timestamp {
    upbeat_shared::clock::Clock::wall(&*twins.clock)
}
