"""Hydra's and OmegaConf's complaints about the command line or a YAML file, in one or two lines."""

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException, ValidationError
from yaml import YAMLError

from pipeline.compatibility import GONE
from pipeline.config import Composed
from pipeline.errors import InputError, first_line, lacked, name_too_long, nearest, reason_of
from pipeline.user_folder import OURS, conf_folders, search_path

_KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}


def explain(error: Exception, arguments: Sequence[str]) -> str | None:
    """The message for the user; None if the error is not the user's."""
    if isinstance(error, InputError):
        return str(error)
    if lacked(error) == "disk":
        return f"{reason_of(error)[0]}. What was there before is whole: make room, and repeat the command."
    if name_too_long(error):
        return _one_line(reason_of(error)[0])
    if isinstance(error, YAMLError | UnicodeDecodeError):
        return _one_line(f"a YAML file is not understood: {error}")
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = str(error)
    if isinstance(error, MissingConfigException):
        return _missing(text)
    if match := re.match(r"Could not override '(.+?)'\.\s*\nNo match in the defaults list", text):
        return _unknown_group(match[1])
    if match := re.match(r"Ambiguous value for argument '(.+?)'", text):
        return _needs_multirun(match[1])
    if isinstance(error, OverrideParseException):
        # Not by the error: that has what the parser made of the word.
        wrong = [word for word in arguments if not word.startswith("-") and not _parses(word)]
        return _not_parsed(next((word for word in wrong if "=" in word), error.override))
    if match := re.match(r"Could not override '(.+?)'\.", text):
        within = re.match(r"Key '(.+?)' not in ", str(error.__cause__))
        composed = Composed(_composed(arguments))
        there = within and composed.kind_of(match[1]) != "nothing"  # the section is, and a key that it was given is not
        return str(composed.unknown_key(f"{match[1]}.{within[1]}" if within and there else match[1]))
    if text.startswith("Could not override ''"):
        return "'=' is not understood: write key=value, or group=choice."
    if (match := re.search(r"full_key: (\S+)", text)) and match[1] in GONE:  # in a file of the user's
        return str(Composed(_composed()).unknown_key(match[1]))
    if match := re.search(r"looks like a config group override, but config group '(.+?)'", text):
        return _unknown_group(match[1])
    if match := re.match(r"Error merging override (.+)", text):
        return _mismatch(match[1], error.__cause__ or error.__context__)
    if "requires multirun" in text or "Sweep parameters" in text:
        return _needs_multirun(", ".join(re.findall(r"'(.+?)'", text)) or "a range")
    cause = error.__cause__ or error
    if isinstance(cause, OmegaConfBaseException):
        return _one_line(f"{cause.full_key or 'config'}: {first_line(cause)}")
    return _one_line(text)


def _not_parsed(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals or not _parses(f"{key}=x"):
        return f"'{override}' is not understood: write key=value, or group=choice."
    quoted = _quoted(value)
    if value[:1] == "[" and value[-1:] == "]":  # its items, those that have quotes already as they are
        items = re.findall(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,]+)\s*(?:,|$)""", value[1:-1])
        quoted = f"[{','.join(map(_quoted, items))}]"
    function = re.match(r"(?:interval|choice|range|tag|int|float|str|bool|sort|shuffle|glob)\(", value)
    if function or (value[:1] in "[{" and quoted[:1] == '"') or not _parses(f"{key}={quoted}"):
        return f"'{override}' is not understood. Ranges: tag(log, interval(1e-4, 1)), choice(a, b); lists: [a,b]."
    return (
        f"'{override}' is not understood. Text with brackets or signs has quotes of its own, within those of the "
        f"shell: {shlex.quote(f'{key}={quoted}')}"
    )


def _quoted(text: str) -> str:
    """Text as Hydra takes it: in quotes of its own where it needs them."""
    text = text.strip()
    return text if _parses(f"key={text}") else '"' + text.replace('"', '\\"') + '"'


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _needs_multirun(what: str) -> str:
    key, _, value = what.partition("=")
    quoted = shlex.quote(f'{key}="{value}"')
    text = f" A text with a comma: {quoted}" if "," in value and "(" not in value else ""
    return f"{what}: a range or a list of values is for a sweep. Add -m: python run.py -m …{text}"


def _missing(text: str) -> str:
    match = re.search(r"Could not find '(.+?)'", text)
    group, _, choice = match[1].partition("/") if match else ("", "", "")
    choices = _choices(group) if group in _groups() else []
    if not choices:
        return _one_line(text)
    return f"{group}={choice} is not known. Allowed: {', '.join(choices)}.{nearest(choice, choices)}"


def _unknown_group(name: str) -> str:
    groups = _groups()
    if name in _composed():
        return f"{name} is one value or section, not a group to choose from. Groups: {', '.join(groups)}."
    return f"{name} is not a key or group. Groups: {', '.join(groups)}.{nearest(name, [*groups, 'seed', 'output_dir'])}"


def _mismatch(override: str, cause: BaseException | None) -> str:
    if not isinstance(cause, OmegaConfBaseException):
        return _one_line(override)
    complaint = first_line(cause)
    kind = re.search(r"(?:could not be converted to|is not a valid) (\w+)", complaint)
    if kind and isinstance(cause, ValidationError):
        key, _, value = override.partition("=")
        return f"{key}={value} must be {_KINDS.get(kind[1], kind[1])}."
    return _one_line(f"{override}: {complaint}")


def _composed(arguments: Sequence[str] = ()) -> DictConfig:
    """The config with the groups' files that the user chose and their default values, to look up names in when the
    user's own could not be composed; the default one where those files do not go together."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    choices = []
    for word in arguments:
        group, _, choice = word.partition("=")
        choice = choice.split(",")[0]
        if group in _groups() and choice in _choices(group):
            choices.append(f"{group}={choice}")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(OURS), version_base="1.3"):
        try:
            return compose("config", [*search_path(), *choices])
        except (HydraException, OmegaConfBaseException):
            return compose("config")


def _groups() -> list[str]:
    folders = (path for conf in conf_folders() for path in conf.iterdir() if path.is_dir())
    return sorted({path.name for path in folders} - {"hydra"})


def _choices(group: str) -> list[str]:
    return sorted({path.stem for conf in conf_folders() for path in (conf / group).glob("*.yaml")})


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines() if line.strip())[:400]
