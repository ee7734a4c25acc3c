"""What a cell shows of a job: the live widget and the static snapshot beside it.

`JobDisplay` shows both in a notebook, and lines of text in a terminal. A widget has two ways to the browser. Its trait
holds the newest view: it changes at milestones, for a browser that comes later, and steadily while no browser has
said that it shows the widget. A browser that shows the widget takes a lease and is sent messages instead, by a thread
of their own (`live.publisher`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display, update_display

from .backend.core.views import JobView
from .job import Job
from .live.bundle import STATIC, bundled
from .live.display import Milestones, ViewFeed, ViewSource, kernel_loop
from .live.publisher import HEARTBEAT_S, JobListPublisher, JobPublisher
from .live.view_record import view_record
from .report.snapshot import HIDE_LOST_WIDGET, static_html
from .report.summary import JobSummary
from .report.text import clean, plain_text, state_text

#: what takes the widget's place where there are no widgets
NOTHING: Final = "<span></span>"
#: a browser whose lease has run out gets the trait this often while a cell blocks, in seconds
LAPSED_S: Final = 0.5


def heard_where_sent(comm: object) -> None:
    """Let what a browser sends be heard in the subshell that it is sent to.

    ipykernel 7.4 hears it where the comm was last used from, which is the main shell, and that may be busy.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, asked: asked


class JobWidget(anywidget.AnyWidget):
    """A job in the browser: how far, how fast, what broke.

    It shows snapshots and asks the job for what its user clicks. Its traffic depends on what is on the screen.

    Parameters
    ----------
    job : Job, optional
        The job, for browsers that ask for more than snapshots.
    clock : callable, optional
        The kernel's time, in seconds since the epoch.
    """

    _esm = bundled()
    _css = STATIC / "job.css"

    job_id = traitlets.Unicode().tag(sync=True)
    #: the newest snapshot, as `view_record` makes it
    view = traitlets.Dict().tag(sync=True)
    #: the states of the tasks, a byte each, compressed: what a browser draws before it has heard of any change
    first = traitlets.Bytes().tag(sync=True)

    def __init__(self, job: Job | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._newest: JobView | None = None
        self._feed: ViewFeed | None = None
        self._publisher = None if job is None else JobPublisher(job, self._tell, self._record)
        self._trait_state: object = None
        super().__init__()
        heard_where_sent(self.comm)
        self.on_msg(self._answer)

    def show(self, view: JobView) -> None:
        """Show a snapshot; only on the kernel's main thread."""
        now_s = self._clock()
        unchanged = self._newest is not None and replace(view, at_s=0.0) == replace(self._newest, at_s=0.0)
        if unchanged and now_s - self.view["at_s"] < HEARTBEAT_S:
            return
        self._newest = view
        if self._wants_trait(view, now_s):
            self._put(now_s)

    def _wants_trait(self, view: JobView, now_s: float) -> bool:
        """Say whether the trait is to be changed; a browser that looks gets messages."""
        state = state_text(view), view.ended_at is None
        milestone, self._trait_state = state != self._trait_state, state
        if milestone or self._publisher is None or not self._publisher.leases.heard:
            return True
        if self._publisher.leases.watched or self._publisher.leases.hidden:
            return False
        return now_s - float(self.view.get("at_s", 0.0)) >= LAPSED_S

    @property
    def looked_at(self) -> bool:
        """Whether a browser has looked at it."""
        return self._publisher is not None and self._publisher.leases.heard

    def follow(self, job: ViewSource, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Show each new snapshot of `job` until the widget is closed; only on the kernel's main thread.

        Parameters
        ----------
        job : ViewSource
            The job, which is asked for nothing else than snapshots.
        loop : asyncio.AbstractEventLoop, optional
            The kernel's event loop; found when not given.
        """
        self._unfollow()
        self._feed = ViewFeed(job, self.show, loop or kernel_loop(get_ipython()))

    def close(self) -> None:
        """Leave the job and the browser alone."""
        self._unfollow()
        publisher = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
        super().close()

    def __repr__(self) -> str:
        # What anywidget puts beside the widget, for whatever can show text only.
        return plain_text(self._newest) if self._newest is not None else "a job that has not been shown yet"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        made = super()._repr_mimebundle_(**options)
        if made is not None:
            # What shows no widgets shows this: nothing, because the snapshot below says it all.
            made[0]["text/html"] = NOTHING
        return made

    def _unfollow(self) -> None:
        feed, self._feed = getattr(self, "_feed", None), None
        if feed is not None:
            feed.stop()

    def _put(self, now_s: float) -> None:
        assert self._newest is not None
        with self.hold_sync():
            self.job_id = clean(self._newest.job_id)
            if self._publisher is not None:
                self.first = self._publisher.first()
            self.view = view_record(self._newest, now_s)

    def _record(self, view: JobView, more: Mapping[str, Any]) -> dict[str, Any]:
        return view_record(view, self._clock(), more)

    def _tell(self, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        if self.comm is not None:
            self.send(message, list(buffers))

    def _answer(self, _widget: object, content: object, _buffers: object) -> None:
        # On the main thread, or on that of a subshell: neither may be made to wait.
        if self._publisher is not None and isinstance(content, dict) and self._publisher.hear(content):
            return
        # The browser asks when it has heard nothing for long: a page reloaded, a quiet job, a kernel restarted.
        if isinstance(content, dict) and content.get("ask") in ("view", "watch") and self._newest is not None:
            self._put(self._clock())


class JobsWidget(anywidget.AnyWidget):
    """All jobs of a session in the browser, a line each.

    Parameters
    ----------
    jobs : callable
        Returns the jobs, oldest first.
    text : callable
        Returns them as text, for whatever can show text only.
    """

    _esm = bundled()
    _css = STATIC / "job.css"

    #: the newest snapshot of each, as `view_record` makes it
    jobs: Any = traitlets.List().tag(sync=True)

    def __init__(self, jobs: Callable[[], Sequence[Job]], text: Callable[[], str]) -> None:
        self._text = text
        self._publisher = JobListPublisher(jobs, self._tell, self._record)
        super().__init__(jobs=[self._record(job.view) for job in jobs()])
        heard_where_sent(self.comm)
        self.on_msg(self._answer)

    def close(self) -> None:
        """Leave the jobs and the browser alone."""
        if hasattr(self, "_publisher"):
            self._publisher.close()
        super().close()

    def __repr__(self) -> str:
        return self._text()

    def _record(self, view: JobView) -> dict[str, Any]:
        return view_record(view, time.time())

    def _tell(self, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        if self.comm is not None:
            self.send(message, list(buffers))

    def _answer(self, _widget: object, content: object, _buffers: object) -> None:
        if isinstance(content, dict):
            self._publisher.hear(content)


class JobDisplay:
    """What a cell shows of a job.

    In a notebook: the widget, and under a display id of its own a folded static snapshot that is renewed at
    milestones, which is what a saved notebook shows. In a terminal: a line of text at each milestone.

    Parameters
    ----------
    tell : callable, optional
        Returns what a snapshot tells beside the view that it is given; asked at milestones.
    shell : InteractiveShell, optional
        The shell to show in; the running one when not given.
    """

    def __init__(
        self,
        *,
        tell: Callable[[JobView], JobSummary] = JobSummary,
        shell: InteractiveShell | None = None,
    ) -> None:
        self._tell = tell
        self._shell = get_ipython() if shell is None else shell
        self._milestones = Milestones()
        self._widget_id, self._snapshot_id = f"stratos-{uuid.uuid4().hex}", f"stratos-{uuid.uuid4().hex}"
        self._feed: ViewFeed | None = None
        self._job: Job | None = None
        #: None in a terminal, and before the first snapshot
        self.widget: JobWidget | None = None

    def pump(self, view: JobView) -> None:
        """Show a snapshot now; only on the kernel's main thread, which a cell may be blocking."""
        if getattr(self._shell, "kernel", None) is None:
            if self._milestones.due(view):
                print(plain_text(view), flush=True)
            return
        first = self.widget is None
        self.widget = self.widget or JobWidget(self._job)
        self.widget.show(view)
        if first:
            display(self.widget, display_id=self._widget_id)
        if not self._milestones.due(view):
            return
        if view.ended_at is not None and not first and not self.widget.looked_at:
            # Its text, for whatever shows text only, is of the beginning. A browser that looks would draw it anew.
            update_display(self.widget, display_id=self._widget_id)
        publish: Callable[..., object] = display if first else update_display
        publish(self._snapshot(view), raw=True, display_id=self._snapshot_id)

    def follow(self, job: ViewSource, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Show a job from now on, also after the cell has returned; only on the kernel's main thread.

        A job that has ended is still followed: tasks may be added to it or relaunched.

        Parameters
        ----------
        job : ViewSource
            The job.
        loop : asyncio.AbstractEventLoop, optional
            The kernel's event loop; found when not given. In a terminal there is none, and the line is
            printed around the next cell.
        """
        self.close()
        self._job = job if isinstance(job, Job) else None
        in_kernel = getattr(self._shell, "kernel", None) is not None
        if loop is None and in_kernel:
            loop = kernel_loop(self._shell)
        self._feed = ViewFeed(job, self.pump, loop, self._shell)

    def close(self) -> None:
        """Stop following; what is shown stays."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()

    def _snapshot(self, view: JobView) -> dict[str, str]:
        html = static_html(self._tell(view))
        return {"text/html": HIDE_LOST_WIDGET + html, "text/plain": plain_text(view)}
