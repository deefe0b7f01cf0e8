//! `[hooks.EVENT]`: which endpoint is told of dead and overdue tasks.

use std::time::Duration;

use super::context::Context;
use super::keys;
use super::section::Section;
use super::settings::{Config, HooksConfig, WebhookConfig, WorkerConfig};
use super::tables::{MAX_TIMEOUT, MIN_TIMEOUT, queue, retry};
use super::tasks::{Tasks, target};
use super::value::{At, Fault, brief, nearest};
use crate::hook::MAX_NOTICE_BYTES;
use crate::name::QueueName;

/// How long one request may take: an endpoint that takes an alert has little to do.
const TIMEOUT: Duration = Duration::from_secs(30);

const EVENTS: [&str; 2] = ["dead", "overdue"];

/// Reads every `[hooks.EVENT]`.
pub(super) fn read(top: &mut Section<'_, '_>, config: &Config, tasks: &mut Tasks) -> HooksConfig {
    let mut hooks = HooksConfig::default();
    for field in top.named("hooks") {
        let Some(event) = EVENTS.into_iter().find(|event| *event == field.name) else {
            top.cx.fault(Some(At::Text(field.at)), unknown(&field.name));
            continue;
        };
        limits_suffice(top.cx, &At::Text(field.at), config);
        let mut section = Section::new(top.cx, &keys::HOOK, format!("hooks.{event}"), Some(field.node));
        let webhook = webhook(&mut section, &config.worker, tasks);
        section.finish();
        match event {
            "dead" => hooks.dead = webhook,
            _ => hooks.overdue = webhook,
        }
    }
    hooks
}

fn webhook(section: &mut Section<'_, '_>, worker: &WorkerConfig, tasks: &mut Tasks) -> Option<WebhookConfig> {
    let target = target(section, "url");
    if target.is_none() && !section.took("url") {
        section.fault("url", Fault::new("this hook has no `url`").help("set `url = \"https://…\"`"));
    }
    let queue = section.get("queue", QueueName::default_queue(), queue);
    tasks.queues.push((queue.clone(), section.place("queue")));
    let timeout = section.get("timeout", TIMEOUT, |found| found.duration(MIN_TIMEOUT..=MAX_TIMEOUT));
    let retry = retry(section.child("retry", &keys::RETRY).inherits("worker"), worker.retry);
    Some(WebhookConfig { target: target?, queue, timeout, retry })
}

/// A notice that no worker may read would be no notice.
fn limits_suffice(cx: &mut Context<'_>, at: &At, config: &Config) {
    if config.limits.body_bytes < MAX_NOTICE_BYTES {
        let help = format!("let `body` of [limits] be {}KiB at least", MAX_NOTICE_BYTES / 1024);
        let fault = Fault::new("what a hook is told can be larger than `body` of [limits] allows");
        cx.fault(Some(at.clone()), fault.help(help));
    }
}

fn unknown(name: &str) -> Fault {
    let help = match nearest(name, EVENTS) {
        Some(near) => format!("did you mean [hooks.{near}]?"),
        None => "there are [hooks.dead] and [hooks.overdue]".to_owned(),
    };
    Fault::new(format!("there is no hook `{}`", brief(name))).help(help)
}
