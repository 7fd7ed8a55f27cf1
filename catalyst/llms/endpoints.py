"""The endpoint of models, and its default model."""

from catalyst.env import env
from catalyst.llm import public_address

# Names the judge that needs no model, also where one is connected.
OFFLINE = "offline"
OPENAI = "https://api.openai.com/v1"


def endpoint() -> str:
    """Return the base URL, empty if none is connected."""
    return env.judge_url or (OPENAI if env.judge_api_key else "")


def address() -> str:
    """Return the base URL without password and keys, as tables and pages name the endpoint."""
    return public_address(endpoint())


def model_named(name: str) -> str:
    """Return the model, or the instance's for an empty name. Empty for OFFLINE, and if no endpoint is connected."""
    if name == OFFLINE:
        return ""
    return (name or env.judge_model) if endpoint() else ""
