"""What the compiled part offers to the Python around it. Nothing here is for users of the package."""

from asyncio import Future
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

Operation = Literal["chat", "completions", "embeddings", "responses", "messages"]

__version__: str

def check(path: str | None, document: Mapping[str, Any] | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """What is wrong with a configuration, and what it holds: of a file, or of a document in its shape.
    The keys are those of `tagrail check --json`: ok, diagnostics, summary, mode_differences."""

def forked() -> None:
    """Tells the compiled part that this process is the child of a fork."""

@final
class Core:
    """One router: a configuration, what is known of its deployments, and connections."""

    def __new__(cls, document: Mapping[str, Any], environ: Mapping[str, str]) -> Core:
        """`document` is in the shape of a config.yaml (model_list, router_settings, litellm_settings,
        general_settings); `environ` is asked for `os.environ/NAME` and for providers' keys.
        Raises what `exceptions.of_configuration(diagnostics)` makes of a document of which nothing runs."""

    @staticmethod
    def from_file(path: str, environ: Mapping[str, str]) -> Core: ...
    def replace(self, document: Mapping[str, Any]) -> None:
        """Puts another configuration in use, at once and whole; cooldowns stay with the deployments' ids.
        Where it raises, nothing has changed."""

    def diagnostics(self) -> list[dict[str, Any]]:
        """What was noticed in the configuration in use: severity ("error", "warning"), code, message, path
        (`model_list[3].litellm_params.tags`; of a file: file, line, column), help, stops."""

    def document(self) -> dict[str, Any]:
        """The configuration as it was written, a file's with its includes; `os.environ/NAME` as such."""

    def deployments(self) -> list[dict[str, Any]]:
        """The deployments in use, in order: id, model_name, place (position in the document's model_list)."""

    def reserve(self, tags: Sequence[str] | None) -> None:
        """Which tags are reserved, beside those of the configuration; `None`: not known."""

    def call(self, operation: Operation, body: Mapping[str, Any], caller: Mapping[str, Any] | None) -> Reply:
        """Waits for the answer without holding the GIL; KeyboardInterrupt ends the call upstream too.
        `caller`: None is the operator; else team_tags, key_tags, key_models, team_models (lists) and
        key_aliases, team_aliases (maps). Raises what `exceptions.of_failure(details)` makes of a failure."""

    def choose(
        self, operation: Operation, body: Mapping[str, Any], caller: Mapping[str, Any] | None
    ) -> tuple[str, str]:
        """Only decides: the chosen deployment's id, and its upstream model with captures filled in."""

    def explain(
        self,
        operation: Operation,
        body: Mapping[str, Any],
        caller: Mapping[str, Any] | None,
        cooling: Mapping[str, float] | None = None,
        told: bool = False,
    ) -> dict[str, Any]:
        """The decision and the reason for every deployment, as `/route/explain` answers, with `text` for
        people. `cooling`: deployments' ids and the seconds that they are to be thought of as cooling.
        `told`: no more than the caller itself may hear."""

@final
class Mailbox:
    """Where finished calls of one event loop are put. Its descriptor becomes readable when there are some."""

    def __new__(cls, wake: Any | None = None) -> Mailbox:
        """`wake` is called from another thread instead, on loops that watch no descriptors."""

    def fileno(self) -> int: ...
    def deliver(self) -> None:
        """Sets the futures of everything that has come in. Called on the loop's thread."""

    def close(self) -> None:
        """Lets go of all futures: their loop is closed."""

    def submit(
        self,
        core: Core,
        operation: Operation,
        body: Mapping[str, Any],
        caller: Mapping[str, Any] | None,
        future: Future[Reply],
    ) -> Ticket:
        """Begins a call. The future gets a Reply or the exception."""

    def next(self, reply: Reply, future: Future[Any]) -> Ticket:
        """Asks for a stream's next chunk. The future gets the chunk, or None at the end, or the exception."""

@final
class Ticket:
    def cancel(self) -> None:
        """Ends the call, upstream too. Nothing happens if it has ended; the future is left alone."""

@final
class Reply:
    """An answer: whole, or a stream of chunks."""

    streams: bool

    def data(self) -> Any:
        """The body of a whole answer, parsed anew."""

    def body(self) -> bytes:
        """The same as it came."""

    def facts(self) -> dict[str, Any]:
        """Who answered, and how: model_id, model_group, model (upstream, with provider), provider, api_base,
        call_id, cost (US dollars, None when unknown), cost_parts, usage, retries, max_retries, fallbacks,
        headers (the upstream's, lower case), response_ms, overhead_ms."""

    def next(self) -> Any:
        """A stream's next chunk, parsed; None at the end. Waits as `Core.call` does."""

    def poll(self) -> Any:
        """The next chunk where it is there already, None at the end, NotImplemented where it has to be
        waited for."""

    def close(self) -> None:
        """Ends the stream, upstream too."""
