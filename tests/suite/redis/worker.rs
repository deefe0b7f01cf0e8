//! A worker in a test: claims and settles, and asks again where an answer was lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
use upbeat_shared::ledger::redis::RedisLedger;
use upbeat_shared::ledger::{
    ClaimAnswer, ClaimRequest, Ledger, LedgerError, OwnedClaim, SettleAnswer, Settlement,
};
use upbeat_shared::message::Message;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::message::{heartbeat, message};

/// Asks until it is answered; an answer that was lost is asked for again.
pub(super) async fn insist<T>(
    failures: &AtomicU32,
    mut ask: impl AsyncFnMut() -> Result<T, LedgerError>,
) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(LedgerError::Unavailable(why)) => {
                let failed = failures.fetch_add(1, Ordering::Relaxed);
                assert!(failed < 3000, "it does not come back: {why}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("what happened is no reason for: {other}"),
        }
    }
}

/// One incarnation.
pub(super) struct Worker<'a> {
    pub(super) ledger: &'a RedisLedger,
    pub(super) owner: OwnerId,
}

impl<'a> Worker<'a> {
    /// One that has had its first heartbeat.
    pub(super) async fn new(ledger: &'a RedisLedger) -> Self {
        let worker = Self { ledger, owner: OwnerId::random() };
        worker.beat().await;
        worker
    }

    pub(super) async fn beat(&self) {
        self.ledger.heartbeat(heartbeat(self.owner, 1)).await.expect("the store answers");
    }

    pub(super) async fn claim(&self, message: &Message) -> Result<OwnedClaim, ClaimAnswer> {
        let request = ClaimRequest::new(message.clone(), Token::random());
        let token = request.token;
        let answers = self.ledger.claim(self.owner, vec![request]).await.expect("the store answers");
        match &answers[0] {
            ClaimAnswer::Acquired(claim) => Ok(OwnedClaim { id: message.id, fence: claim.fence, token }),
            other => Err(other.clone()),
        }
    }

    pub(super) async fn succeed(&self, claim: OwnedClaim) -> SettleAnswer {
        let settlement = self.success(claim);
        self.ledger.settle(vec![settlement]).await.expect("the store answers")[0]
    }

    fn success(&self, claim: OwnedClaim) -> Settlement {
        Settlement {
            owner: self.owner,
            claim,
            verdict: Verdict::Succeeded { result: None },
            then: Vec::new(),
        }
    }
}

/// Claims and settles so many batches of 50; answers each task's fence. No settle may be stale.
pub(super) async fn work(
    ledger: &RedisLedger,
    failures: &AtomicU32,
    batches: usize,
) -> HashMap<TaskId, Fence> {
    let worker = Worker { ledger, owner: OwnerId::random() };
    insist(failures, async || ledger.heartbeat(heartbeat(worker.owner, 1)).await).await;
    let mut done = HashMap::new();
    for _ in 0..batches {
        let requests: Vec<ClaimRequest> =
            (0..50).map(|_| ClaimRequest::new(message(), Token::random())).collect();
        let answers = insist(failures, async || ledger.claim(worker.owner, requests.clone()).await).await;
        let mut settlements = Vec::new();
        for (request, answer) in requests.iter().zip(answers) {
            let ClaimAnswer::Acquired(claim) = answer else { panic!("nobody else has it: {answer:?}") };
            let claim = OwnedClaim { id: request.message.id, fence: claim.fence, token: request.token };
            settlements.push(worker.success(claim));
            assert_eq!(done.insert(claim.id, claim.fence), None);
        }
        let answers = insist(failures, async || ledger.settle(settlements.clone()).await).await;
        assert!(answers.iter().all(|answer| *answer != SettleAnswer::Stale), "{answers:?}");
    }
    done
}
