//! Asking.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::overdue;
use crate::{
    Answer, Call, Chunks, Completion, Embedding, EnvelopeError, Error, Kind, Messages, Reply, Request,
    Responses, Router, TextCompletion,
};

/// When a call has to be over, and how long that was from its start.
type Until = Option<(Instant, Duration)>;

/// Calls. They run on the caller's tokio runtime, whose time and I/O are enabled; dropping a future of
/// theirs ends the upstream call. A router may serve several runtimes, each of which keeps connections of its
/// own.
///
/// # Errors
/// All of them say by [`Error::fault`] whose fault it was that there is no answer.
impl Router {
    /// A chat completion: a [`Completion`], or a plain value in the shape of its body.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tagrail::{Completion, Deployment, Router};
    ///
    /// let router = Router::builder()
    ///     .model_list([
    ///         Deployment::new("small", "openai/gpt-4o-mini").tags(["free"]).mock_response("in brief"),
    ///         Deployment::new("small", "openai/gpt-4o").tags(["paid"]).mock_response("at length"),
    ///     ])
    ///     .tag_filtering(true)
    ///     .build()?;
    /// let reply = router.completion(Completion::new("small").user("Hi").tags(["paid"])).await?;
    /// assert_eq!(reply.text().as_deref(), Some("at length"));
    /// assert_eq!(reply.facts.model(), "openai/gpt-4o");
    ///
    /// let plain = serde_json::json!({
    ///     "model": "small", "messages": [{"role": "user", "content": "Hi"}], "tags": ["free"],
    /// });
    /// assert_eq!(router.completion(plain).await?.text().as_deref(), Some("in brief"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn completion(&self, request: impl Into<Completion>) -> Result<Reply, Error> {
        self.reply(request.into()).await
    }

    /// A chat completion, in pieces.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tagrail::{Completion, Deployment, Router};
    /// # let deployment = Deployment::new("small", "openai/gpt-4o").mock_response("one two");
    /// # let router = Router::builder().model_list([deployment]).build()?;
    /// let mut stream = router.stream(Completion::new("small").user("Count")).await?;
    /// let mut text = String::new();
    /// while let Some(chunk) = stream.next().await {
    ///     text.push_str(&chunk?.text().unwrap_or_default());
    /// }
    /// assert_eq!(text, "one two");
    /// assert!(stream.usage().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stream(&self, request: impl Into<Completion>) -> Result<Chunks, Error> {
        self.chunks(request.into()).await
    }

    /// The completion of a text.
    pub async fn text_completion(&self, request: impl Into<TextCompletion>) -> Result<Reply, Error> {
        self.reply(request.into()).await
    }

    /// The completion of a text, in pieces.
    pub async fn text_completion_stream(&self, request: impl Into<TextCompletion>) -> Result<Chunks, Error> {
        self.chunks(request.into()).await
    }

    /// Embeddings.
    pub async fn embedding(&self, request: impl Into<Embedding>) -> Result<Reply, Error> {
        self.reply(request.into()).await
    }

    /// A call of OpenAI's Responses API.
    pub async fn responses(&self, request: impl Into<Responses>) -> Result<Reply, Error> {
        self.reply(request.into()).await
    }

    /// The same, in events.
    pub async fn responses_stream(&self, request: impl Into<Responses>) -> Result<Chunks, Error> {
        self.chunks(request.into()).await
    }

    /// A call of Anthropic's Messages API.
    pub async fn messages(&self, request: impl Into<Messages>) -> Result<Reply, Error> {
        self.reply(request.into()).await
    }

    /// The same, in events.
    pub async fn messages_stream(&self, request: impl Into<Messages>) -> Result<Chunks, Error> {
        self.chunks(request.into()).await
    }

    async fn reply<K: Kind>(&self, request: Request<K>) -> Result<Reply, Error> {
        if request.streams() {
            let error = EnvelopeError {
                message: "Invalid request: `stream` is true, and a whole answer was asked for".to_owned(),
                param: "stream".to_owned(),
                status: 400,
            };
            return Err(Error::of_body(error, request.model()));
        }
        let (answer, call, _) = self.answer(request).await?;
        Ok(Reply::of(answer, call))
    }

    async fn chunks<K: Kind>(&self, request: Request<K>) -> Result<Chunks, Error> {
        let (answer, call, until) = self.answer(request.param("stream", true)).await?;
        Ok(Chunks::of(answer, call, until))
    }

    async fn answer<K: Kind>(&self, request: Request<K>) -> Result<(Answer, Call, Until), Error> {
        let until = request.deadline.and_then(|time| Some((Instant::now().checked_add(time)?, time)));
        let call = request.call().map_err(|error| Error::of_body(error, request.model()))?;
        drop(request);
        let answer = match until {
            None => self.call(&call).await,
            Some((end, deadline)) => match timeout_at(end, self.call(&call)).await {
                Ok(answer) => answer,
                Err(_) => return Err(overdue(&call, deadline)),
            },
        };
        match answer {
            Ok(answer) => Ok((answer, call, until)),
            Err(error) => Err(Error::of(*error, &call)),
        }
    }
}
