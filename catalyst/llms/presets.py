"""Known providers of models. All of them speak OpenAI's chat completions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """`provider`: the name in the price list. `model`: an example."""

    name: str
    base_url: str
    provider: str
    model: str = ""
    needs_key: bool = True
    hint: str = ""


PRESETS = {
    "openai": Preset("OpenAI", "https://api.openai.com/v1", "openai", "gpt-4o-mini"),
    "anthropic": Preset("Anthropic", "https://api.anthropic.com/v1", "anthropic", "claude-haiku-4-5"),
    "gemini": Preset("Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "google", "gemini-2.5-flash"),
    "azure": Preset(
        "Azure OpenAI",
        "https://RESOURCE.openai.azure.com/openai/v1",
        "azure",
        "gpt-4o-mini",
        hint="Put the name of your resource into the address. A model is the name of a deployment.",
    ),
    "openrouter": Preset("OpenRouter", "https://openrouter.ai/api/v1", "openrouter", "openai/gpt-4o-mini"),
    "ollama": Preset(
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "ollama",
        "llama3.1:8b",
        needs_key=False,
        hint="The operator must open a private address in CATALYST_ALLOWED_PRIVATE_TARGETS.",
    ),
    "vllm": Preset(
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "vllm",
        "Qwen/Qwen3-8B",
        needs_key=False,
        hint="The operator must open a private address in CATALYST_ALLOWED_PRIVATE_TARGETS.",
    ),
    "other": Preset("Any compatible endpoint", "", "", needs_key=False),
}
