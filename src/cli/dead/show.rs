//! Everything about one dead task.

use std::io::Write;

use clap::Args;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::{HeaderValue, Undeliverable};

use super::super::context::{Access, Context};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::running::Running;
use super::super::table::{Cell, Details, Look};
use super::super::task_id::parse_id;
use super::super::task_view;
use super::super::words::counted;
use super::{dead, edit};

/// So many characters are shown of a body.
const SHOWN: usize = 2000;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The task's id
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: TaskId,
    /// Write its bytes and nothing else: the body of a message as it was received, or a task's arguments
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        let task = dead(&session, &[self.id], "shown").await?.remove(0);
        let received = edit::received(&task);
        if self.raw {
            let bytes = received.map_or(task.message.args.bytes, |received| received.wire.body);
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&bytes)?;
            return Ok(stdout.flush()?);
        }
        let output = &context.output;
        let running = Running::default();
        output.result(
            || match &received {
                Some(received) => {
                    let known = task_view::outline(session.now(), &task, &running, output).render();
                    format!("{known}\n{}", details(received, output))
                }
                None => task_view::details(session.now(), &task, &running, output),
            },
            || running.json(&task),
        )
    }
}

/// A message as it was received.
fn details(received: &Undeliverable, output: &Output) -> String {
    let wire = &received.wire;
    let mut view = Details::new(output.paint(&Cell::new("as it was received", Look::Strong)));
    view.maybe("queue", received.queue.as_ref().map(ToString::to_string));
    view.maybe("message_id", wire.message_id.as_deref().map(visible));
    view.maybe("type", wire.kind.as_deref().map(visible));
    view.maybe("content_type", wire.content_type.as_deref().map(visible));
    view.maybe("priority", wire.priority.map(|priority| priority.to_string()));
    let header = |(name, value): &(String, HeaderValue)| {
        let value = match value {
            HeaderValue::Int(number) => number.to_string(),
            HeaderValue::Text(text) => format!("{text:?}"),
            HeaderValue::Other => "(of another type)".to_owned(),
        };
        visible(&format!("{name}: {value}"))
    };
    let mut headers: Vec<String> = wire.headers.iter().map(header).collect();
    if received.headers_left_out > 0 {
        headers.push(format!("and {} more", counted(received.headers_left_out as u64, "header")));
    }
    view.maybe("headers", (!headers.is_empty()).then(|| headers.join("\n")));
    let kept = wire.body.len();
    let cut = if kept < received.body_bytes { format!(", of which {kept} were kept") } else { String::new() };
    view.line("bytes", format!("{}{cut}; --raw writes them", received.body_bytes));
    let text = String::from_utf8_lossy(&wire.body);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    view.line("body", visible(&shown));
    view.render().trim_end().to_owned()
}

/// Line ends stay; other control characters must not drive the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}
