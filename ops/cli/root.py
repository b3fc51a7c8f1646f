"""The command line: commands without logic. What they do stands in the modules they call."""

from __future__ import annotations

from typing import Final

import click

from schemas.errors import FatalError, HubError, PermanentError, TransientError

from . import (
    account,
    audit,
    backup,
    batches,
    ca,
    duty,
    export,
    holds,
    identity,
    identity_keys,
    identity_stewards,
    inbound,
    indicators,
    labs,
    parked,
    pausing,
    pseudonyms,
    receivers,
    replay,
    retention,
    review,
    route,
    settings,
    starting,
    stream,
    streams,
    tokens,
    tools,
    trace,
)
from .asked import data_dir_option, json_option, run_alone

EXIT_CODES: Final = """
Exit codes: 0 done; 1 the answer is no (an account that does not close, a message not found, a
message not acknowledged); 2 usage or settings; 3 the hub, its database or its broker is away;
4 a promise could not be kept (the text says what to do); 130 interrupted.
"""

_OF_THE_PLACE: Final = frozenset(
    {"settings_invalid", "port_busy", "data_folder_in_use", "tls_files_invalid"}
)


class Teaching(click.Group):
    """A group whose help ends with the exit codes, and whose errors say what to do."""

    def invoke(self, ctx: click.Context) -> object:
        """Turn the hub's errors into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except TransientError as error:
            raise _Failure(error, 3) from None
        except PermanentError as error:
            raise _Failure(error, 1) from None
        except FatalError as error:
            code = 2 if error.reason in _OF_THE_PLACE else 4
            raise _Failure(error, code) from None


class _Failure(click.ClickException):
    def __init__(self, error: HubError, exit_code: int) -> None:
        super().__init__(f"{error.reason}: {error.remedy}" if error.remedy else error.reason)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Ours instead of click's 1."""
        return self._exit_code


@click.group(
    cls=Teaching, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="labdispatch")
def main() -> None:
    """Real-time dispatch of laboratory results.

    HL7 v2 comes in over MLLP or HTTP, is acknowledged once it is durable, tied to a person, and
    leaves in three streams: dossier, contact-tracing, public-health.

    Start with `labdispatch run`; then, in another terminal, `labdispatch account`.
    """


starting.add_to(main)
tools.add_to(main)
labs.add_to(main, data_dir_option, json_option, run_alone)
ca.add_to(main)
account.add_to(main, data_dir_option, json_option, run_alone)
duty.add_to(main, data_dir_option, json_option, run_alone)
trace.add_to(main, data_dir_option, json_option, run_alone)
parked.add_to(main, data_dir_option, json_option, run_alone)
pausing.add_to(main, data_dir_option, json_option, run_alone)
replay.add_to(main, data_dir_option, json_option, run_alone)
batches.add_to(main, data_dir_option, json_option, run_alone)
inbound.add_to(main, data_dir_option, json_option, run_alone)
stream.add_to(main, data_dir_option, run_alone)
export.add_to(main, data_dir_option, json_option, run_alone)
streams.add_to(main, data_dir_option, json_option, run_alone)
route.add_to(main, data_dir_option, json_option, run_alone)
pseudonyms.add_to(main, data_dir_option, json_option, run_alone)
receivers.add_to(main, data_dir_option, json_option, run_alone)
tokens.add_to(main, data_dir_option, json_option, run_alone)
settings.add_to(main, json_option)
retention.add_to(main, data_dir_option, json_option, run_alone)
audit.add_to(main, data_dir_option, json_option, run_alone)
backup.add_to(main, data_dir_option, json_option)
indicators.add_to(main, data_dir_option, json_option, run_alone)
_identity = identity.add_to(main, json_option, run_alone)
review.add_to(main, data_dir_option, json_option, run_alone)
identity_stewards.add_to(_identity, data_dir_option, json_option, run_alone)
holds.add_to(main, data_dir_option, json_option, run_alone)
identity_keys.add_to(_identity, data_dir_option, json_option, run_alone)
