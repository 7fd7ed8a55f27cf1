"""Tables of signals, each beside its QuerySet. Import the models from here."""

from signals.definitions.choices import Scope, Sentiment
from signals.models.judge_outage import JudgeOutage
from signals.models.label import Label
from signals.models.label_rollup import LabelHalfDay, LabelHour, LabelMinute
from signals.models.run import SignalRun
from signals.models.settled_minute import SettledMinute
from signals.models.signal import DefinitionModel, Signal, SignalVersion
from signals.models.signal_test import SignalTest, SignalTestItem
from signals.models.unsampled import Unsampled
from signals.models.verdict import Exchange, Instructions, Verdict

type Job = Label | SignalTestItem

__all__ = [
    "DefinitionModel",
    "Exchange",
    "Instructions",
    "Job",
    "JudgeOutage",
    "Label",
    "LabelHalfDay",
    "LabelHour",
    "LabelMinute",
    "Scope",
    "Sentiment",
    "SettledMinute",
    "Signal",
    "SignalRun",
    "SignalTest",
    "SignalTestItem",
    "SignalVersion",
    "Unsampled",
    "Verdict",
]
