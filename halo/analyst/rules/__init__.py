"""The rules of the offline analyst: each looks for one kind of finding."""

from collections.abc import Callable

from halo.analyst.material import Rule
from halo.analyst.rules.loops import Loops
from halo.analyst.rules.recurring_failures import RecurringFailures
from halo.analyst.rules.redundant_calls import RedundantCalls
from halo.analyst.rules.regressions import Regressions
from halo.analyst.rules.tools import Tools

RULES: tuple[Callable[[], Rule], ...] = (RecurringFailures, Tools, RedundantCalls, Loops, Regressions)
# Where there are too few runs to find patterns.
RULES_OF_FEW_RUNS: tuple[Callable[[], Rule], ...] = (RecurringFailures,)
