//! A streamed message, decoded event by event.

use super::reply::{Broken, finish, redacted, thought};
use super::schema::{Block, Delta, Event};
use crate::dialect::{ChatEvent, WireUsage};
use crate::{Told, Usage};

/// Reads the events of one stream.
#[derive(Default)]
pub(crate) struct Events {
    /// The blocks that have begun, by Anthropic's index.
    open: Vec<(usize, Open)>,
    /// How many tools were called so far.
    calls: usize,
    usage: WireUsage,
    /// The block that was open last has stopped: it may be the last one.
    answered: bool,
    /// Tokens were reported with the end of the message.
    counted: bool,
    ended: bool,
}

/// A block that has not stopped yet.
enum Open {
    Thinking { thinking: String, signature: String },
    Call { index: usize, said: bool },
}

impl Events {
    /// Reads the data of an event and appends what it means.
    ///
    /// # Errors
    /// An error event, or none at all.
    pub(crate) fn read(&mut self, data: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), Broken> {
        match serde_json::from_slice(data).map_err(|_| Broken::Unreadable)? {
            Event::MessageStart { message } => {
                self.usage.add(message.usage.unwrap_or_default());
                out.push(ChatEvent::Start { id: message.id, model: message.model });
            }
            Event::ContentBlockStart { index, content_block } => {
                self.answered = false;
                self.begin(index, content_block, out);
            }
            Event::ContentBlockDelta { index, delta } => self.go_on(index, delta, out),
            Event::ContentBlockStop { index } => {
                self.answered = true;
                self.stop(index, out);
            }
            Event::MessageDelta { delta, usage } => {
                self.answered = true;
                self.counted |= usage.is_some();
                self.usage.add(usage.unwrap_or_default());
                if let Some(reason) = delta.stop_reason {
                    out.push(ChatEvent::Finish(finish(Some(&reason))));
                }
            }
            Event::MessageStop => {
                self.ended = true;
                out.push(ChatEvent::End);
            }
            Event::Error => return Err(Broken::Refused),
            Event::Other => {}
        }
        Ok(())
    }

    /// Whether the last event came.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Tokens reported so far.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage.usage()
    }

    /// The same, part by part.
    pub(crate) fn told(&self) -> Told {
        Told { is_final: self.counted || self.ended, ..self.usage.told() }
    }

    /// Whether nothing of the answer is outstanding, as far as can be seen.
    pub(crate) fn answered(&self) -> bool {
        self.answered
    }

    fn begin(&mut self, at: usize, block: Block, out: &mut Vec<ChatEvent>) {
        match block {
            Block::Text { text } => push_text(text, out),
            Block::Thinking { thinking, signature } => {
                push_reasoning(&thinking, out);
                self.open.push((at, Open::Thinking { thinking, signature }));
            }
            Block::RedactedThinking { data } => out.push(ChatEvent::Thinking(redacted(&data))),
            Block::ToolUse { id, name, input } => {
                let index = self.calls;
                self.calls += 1;
                out.push(ChatEvent::Call { index, id, name });
                // Anthropic sends an empty object here and the input in pieces; servers that imitate
                // it may have it all at once.
                let whole = input.as_object().is_some_and(|input| !input.is_empty());
                if whole {
                    out.push(ChatEvent::Arguments { index, json: input.to_string() });
                }
                self.open.push((at, Open::Call { index, said: whole }));
            }
            Block::Other => {}
        }
    }

    fn go_on(&mut self, at: usize, delta: Delta, out: &mut Vec<ChatEvent>) {
        let open = self.open.iter_mut().find(|(index, _)| *index == at).map(|(_, open)| open);
        match (delta, open) {
            (Delta::Text { text }, _) => push_text(text, out),
            (Delta::InputJson { partial_json }, Some(Open::Call { index, said }))
                if !partial_json.is_empty() =>
            {
                *said = true;
                out.push(ChatEvent::Arguments { index: *index, json: partial_json });
            }
            (Delta::Thinking { thinking: more }, Some(Open::Thinking { thinking, .. })) => {
                thinking.push_str(&more);
                push_reasoning(&more, out);
            }
            (Delta::Signature { signature: more }, Some(Open::Thinking { signature, .. })) => {
                signature.push_str(&more);
            }
            _ => {}
        }
    }

    fn stop(&mut self, at: usize, out: &mut Vec<ChatEvent>) {
        let Some(place) = self.open.iter().position(|(index, _)| *index == at) else { return };
        match self.open.swap_remove(place).1 {
            Open::Thinking { thinking, signature } => {
                out.push(ChatEvent::Thinking(thought(&thinking, &signature)))
            }
            // Clients parse what was said; no input is an empty object.
            Open::Call { index, said: false } => {
                out.push(ChatEvent::Arguments { index, json: "{}".to_owned() })
            }
            Open::Call { .. } => {}
        }
    }
}

fn push_text(text: String, out: &mut Vec<ChatEvent>) {
    if !text.is_empty() {
        out.push(ChatEvent::Text(text));
    }
}

fn push_reasoning(text: &str, out: &mut Vec<ChatEvent>) {
    if !text.is_empty() {
        out.push(ChatEvent::Reasoning(text.to_owned()));
    }
}
