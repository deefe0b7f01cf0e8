//! Roles that run inside somebody's program.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upbeat_shared::client::Client;

use super::RoleError;
use super::members::Members;
use crate::stack::Stack;

/// Roles that run. Dropping it ends them at once, as a kill would; nothing is lost by it.
#[derive(Debug)]
pub struct Running {
    stack: Stack,
    members: Members,
}

impl Running {
    pub(super) fn new(stack: Stack, members: Members) -> Self {
        Self { stack, members }
    }

    /// Publishes tasks. Cheap to clone; stays usable after the roles have ended, until the transport is closed by `stop`.
    pub fn client(&self) -> Client {
        self.stack.client.clone()
    }

    /// Broker and ledger.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// What keeps the roles from their work, a line each; empty when they are ready. For a health endpoint.
    pub async fn why_not_ready(&self) -> Vec<String> {
        self.members.readiness().why_not().await
    }

    /// Waits until every role does its work, or one ended, but no longer than this; answers whether they do.
    pub async fn ready(&self, at_most: Duration) -> bool {
        self.members.until_ready(at_most).await
    }

    /// Runs until `stop` is cancelled or a role cannot go on, and ends the others in good order.
    pub async fn until(mut self, stop: CancellationToken) -> Result<(), RoleError> {
        tokio::select! {
            () = stop.cancelled() => self.stop().await,
            ended = self.members.until_ended() => self.close(ended).await,
        }
    }

    /// Takes no more work, lets what runs finish within the grace period, gives the rest back, and closes the broker's
    /// connection.
    pub async fn stop(mut self) -> Result<(), RoleError> {
        self.members.stop();
        let ended = self.members.until_ended().await;
        self.close(ended).await
    }

    async fn close(self, ended: Result<(), RoleError>) -> Result<(), RoleError> {
        self.stack.transport.close().await;
        ended
    }
}
