"""The rules of the offline analyst: each looks for one kind of finding."""

from collections.abc import Callable

from halo.analyst.material import Rule
from halo.analyst.rules.bad_labels import BadLabels
from halo.analyst.rules.context_growth import ContextGrowth
from halo.analyst.rules.cut_off_answers import CutOffAnswers
from halo.analyst.rules.expensive_paths import CostlyRuns, ExpensiveModels
from halo.analyst.rules.instrumentation_gaps import InstrumentationGaps
from halo.analyst.rules.loops import Loops
from halo.analyst.rules.mixed_traffic import MixedTraffic
from halo.analyst.rules.recurring_failures import RecurringFailures
from halo.analyst.rules.redundant_calls import RedundantCalls
from halo.analyst.rules.regressions import Regressions
from halo.analyst.rules.repeated_model_calls import RepeatedModelCalls
from halo.analyst.rules.serial_tools import SerialTools
from halo.analyst.rules.slow_tail import SlowTail
from halo.analyst.rules.tools import Tools
from halo.analyst.rules.unanswered import Unanswered
from halo.analyst.rules.uncached_prompts import UncachedPrompts

RULES: tuple[Callable[[], Rule], ...] = (
    RecurringFailures,
    Tools,
    RedundantCalls,
    Loops,
    SlowTail,
    SerialTools,
    ExpensiveModels,
    CostlyRuns,
    ContextGrowth,
    UncachedPrompts,
    CutOffAnswers,
    RepeatedModelCalls,
    Unanswered,
    Regressions,
    MixedTraffic,
    BadLabels,
    InstrumentationGaps,
)
# Where there are too few runs to find patterns.
RULES_OF_FEW_RUNS: tuple[Callable[[], Rule], ...] = (RecurringFailures,)
