"""Where models are reached, and which one answers for a name."""

from catalyst.env import env

OPENAI = "https://api.openai.com/v1"


def endpoint() -> str:
    """The base URL of the judge's API; empty if none is connected."""
    return env.judge_url or (OPENAI if env.judge_api_key else "")


def model_named(name: str) -> str:
    """The model of that name, the instance's own for an empty name; empty if none is connected."""
    return (name or env.judge_model) if endpoint() else ""
