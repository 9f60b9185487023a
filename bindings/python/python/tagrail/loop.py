"""Calls from an event loop: each loop has a mailbox, and whoever waits has a future of that loop.

No thread is made, and nothing is handed from thread to thread: the loop watches the mailbox's descriptor like a
socket, and sets the futures of everything that has come in at once.
"""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from ._core import Mailbox

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping

    from ._core import Core, Operation, Reply

# By the loop's address, which may be used again: the reference tells whether it is still that loop.
_MAILBOXES: dict[int, tuple[ref[AbstractEventLoop], Mailbox]] = {}


def mailbox_of(loop: AbstractEventLoop) -> Mailbox:
    """The loop's mailbox; made when it is first asked for."""
    known = _MAILBOXES.get(id(loop))
    if known is not None and known[0]() is loop:
        return known[1]
    return _opened(loop)


def _opened(loop: AbstractEventLoop) -> Mailbox:
    """A mailbox that the loop watches."""
    # `asyncio.run` closes its loop; the descriptor is given back now, not when the loop is collected.
    for place, (whose, left) in list(_MAILBOXES.items()):
        old = whose()
        if old is None or old.is_closed():
            _MAILBOXES.pop(place, None)
            # Tasks that a closed loop left pending hold on to each other and to the mailbox.
            left.close()
    mailbox = _watched(loop)
    place = id(loop)

    def forget(gone: ref[AbstractEventLoop]) -> None:
        known = _MAILBOXES.get(place)
        if known is not None and known[0] is gone:
            _MAILBOXES.pop(place, None)

    _MAILBOXES[place] = (ref(loop, forget), mailbox)
    return mailbox


def _watched(loop: AbstractEventLoop) -> Mailbox:
    try:
        mailbox = Mailbox()
        loop.add_reader(mailbox.fileno(), mailbox.deliver)
        return mailbox
    except NotImplementedError:
        # Windows' own loop watches no descriptors: there the runtime's thread calls in.
        return Mailbox(_caller_in(loop))


def _caller_in(loop: AbstractEventLoop) -> Callable[[], None]:
    """What has a loop empty its mailbox, from any thread. It keeps neither alive."""
    whose = ref(loop)

    def wake() -> None:
        known = _MAILBOXES.get(id(whose()))
        there = whose()
        if there is not None and known is not None and known[0]() is there:
            try:
                there.call_soon_threadsafe(known[1].deliver)
            except RuntimeError:
                # Closed: nobody waits any more.
                pass

    return wake


async def answered(
    core: Core, operation: Operation, body: Mapping[str, Any], caller: Mapping[str, Any] | None
) -> Reply:
    """The reply to a call. Whoever stops waiting ends the call, upstream too."""
    loop = get_running_loop()
    future: Any = loop.create_future()
    ticket = mailbox_of(loop).submit(core, operation, body, caller, future)
    try:
        reply: Reply = await future
        return reply
    except BaseException:
        ticket.cancel()
        raise
    finally:
        # It holds what is raised, whose traceback holds this frame.
        del future


async def arrived(reply: Reply) -> Any:
    """A stream's next chunk, where it has to be waited for; None at the end."""
    loop = get_running_loop()
    future: Any = loop.create_future()
    ticket = mailbox_of(loop).next(reply, future)
    try:
        return await future
    except BaseException:
        ticket.cancel()
        raise
    finally:
        # It holds what is raised, whose traceback holds this frame.
        del future


async def breath() -> None:
    """Lets the loop do something else."""
    await sleep(0)
