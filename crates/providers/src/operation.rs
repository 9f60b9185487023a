//! What a client asks for; each operation has one dialect on the client's side.

/// The operations of the model routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `POST /v1/completions`.
    Completions,
    /// OpenAI `POST /v1/embeddings`.
    Embeddings,
    /// Anthropic `POST /v1/messages`.
    Messages,
    /// OpenAI `POST /v1/responses`.
    Responses,
}

impl Operation {
    /// The last part of the OpenAI (or Anthropic) path, without a leading slash or version.
    pub fn path(self) -> &'static str {
        match self {
            Operation::ChatCompletions => "chat/completions",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::Messages => "messages",
            Operation::Responses => "responses",
        }
    }

    /// The operation's name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ChatCompletions => "chat_completions",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::Messages => "messages",
            Operation::Responses => "responses",
        }
    }

    /// Whether streams end with OpenAI's `[DONE]`.
    pub(crate) fn ends_with_done(self) -> bool {
        matches!(self, Operation::ChatCompletions | Operation::Completions | Operation::Embeddings)
    }

    /// Whether an `error` in a reply with status 200 is a failure of the call. A response object has
    /// such a field of its own, and says there why it is not complete.
    pub(crate) fn fails_inside_200(self) -> bool {
        self != Operation::Responses
    }
}
