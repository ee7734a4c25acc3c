"""``--into NAME``: a variable that holds a job's results as they come.

Before each cell runs, the variable is bound to a fresh snapshot. It stays the user's variable: once it is
another object than the one we bound, or its columns were changed, one line says so and binding stops.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from ..errors import StratosError
from ..report.text import clean

#: how long outputs may be parsed before a cell runs, in seconds
PARSED_MOST_S: Final = 2.0
#: the same, once, when the job has ended: then the cell may want all of them
ALL_PARSED_MOST_S: Final = 30.0

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..backend.core.views import JobView
    from ..job import Job


class Binding:
    """One variable that follows one job.

    Parameters
    ----------
    namespace : dict
        The user's variables.
    name : str
        The variable's name; what it held before is replaced.
    job : Job
        The job whose results it holds.
    """

    def __init__(self, namespace: dict[str, Any], name: str, job: Job) -> None:
        self.name = name
        self.job = job
        #: what the user was last told of it
        self.said = ""
        #: what is not in the variable yet, as a line; '' when all is
        self.missing = ""
        #: whether to wait longer for what is not parsed when the job has ended
        self.patient = True
        self._namespace = namespace
        self._seen: JobView | None = None
        self._frame: weakref.ref[Any] | None = None

    def refresh(self) -> str:
        """Bind a fresh snapshot when there is news; return why binding stops, or nothing while it goes on."""
        self.missing = ""
        if self.job.view is self._seen:  # a job that has news, or has ended and was relaunched, has another view
            return ""
        why = self._why_not()
        if not why:
            self._bind()
            return ""
        again = f"{self.name} = %stratos results {clean(self.job.job_id)}"
        return f"{self.name} no longer follows {clean(self.job.job_id)}: {why}. {again} brings the results"

    def _why_not(self) -> str:
        if self._frame is None:  # the first time; an interrupt may have come before it
            return ""
        frame = self._frame()
        if self.name not in self._namespace:
            return "it was deleted"
        if frame is None or self._namespace[self.name] is not frame:
            return "it is another object now"
        return "" if list(frame.columns) == self._columns else "its columns were changed"

    def _bind(self) -> None:
        view = self.job.view  # first, so that what arrives in between is bound the next time
        ended = view.ended_at is not None
        try:
            frame = self.job.results(within_s=ALL_PARSED_MOST_S if ended and self.patient else PARSED_MOST_S)
        except KeyboardInterrupt:  # the user has waited long enough: with what there is
            frame = self.job.results(within_s=0.0)
        # The user may drop the variable: a table of a million rows is not ours to keep.
        self._frame = weakref.ref(frame)
        self._columns = list(frame.columns)
        self._namespace[self.name] = frame
        self._seen = None if self.job.unparsed else view
        if ended and self.job.unparsed:
            self.patient = False
            name = clean(self.job.job_id)
            self.missing = (
                f"{self.name} lacks {self.job.unparsed:,} of {view.done:,} rows: their outputs are still being parsed; "
                f"{self.name} = %stratos results {name} waits for them"
            )


class Bindings:
    """The variables of a notebook that follow jobs."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._by_name: dict[str, Binding] = {}

    def bind(self, name: str, job: Job) -> None:
        """Let the variable `name` follow `job`, whatever it followed before."""
        self._by_name[name] = Binding(self._shell.user_ns, name, job)
        self.refresh()

    def complete(self, job: Job) -> None:
        """Have all outputs of a job parsed that a variable follows, however long that takes."""
        following = [binding for binding in self._by_name.values() if binding.job is job]
        if following and not job.released:
            try:
                job.parse_trouble()
            except KeyboardInterrupt:
                for binding in following:
                    binding.patient = False
                raise

    def refresh(self, *_: object) -> None:
        """Bind fresh snapshots; called before each cell."""
        for binding in list(self._by_name.values()):
            try:
                ended = binding.refresh()
            except StratosError as error:  # the journal cannot be read now: the cell's business goes on
                ended = f"{binding.name} is not fresh: {error}"
            else:
                if ended:
                    del self._by_name[binding.name]
                else:
                    ended = binding.missing
            if ended and ended != binding.said:
                print(ended)
            binding.said = ended
