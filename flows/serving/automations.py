"""Notifications: Prefect's automations for a run that failed and for a verdict that changed.

They send through a block called `headstart` (Slack, mail, a web hook: docs/howto/serve.md). Until there is one they do
nothing, and are there to be seen and edited. What a person made of them stays.
"""

from datetime import timedelta
from typing import Any

from prefect.automations import DoNothing, EventTrigger, SendNotification
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from flows.announce import VERDICT_CHANGED

BLOCK = "headstart"
KINDS = (
    "slack-webhook",
    "sendgrid-email",
    "ms-teams-webhook",
    "mattermost-webhook",
    "discord-webhook",
    "custom-webhook",
)
FAILED, CHANGED = "Headstart: a run failed", "Headstart: the verdict changed"


def apply() -> None:
    """Makes the automations that are not there; ours that do nothing yet send by the block, where there is one."""
    with get_client(sync_client=True) as client:
        action = _action(client)
        for name, trigger, subject, body in _wanted():
            there = client.read_automations_by_name(name)
            how: dict[str, Any] = {"subject": subject, "body": body} if isinstance(action, SendNotification) else {}
            wanted = AutomationCore(
                name=name,
                description=f"Sends by the notification block called {BLOCK}, once there is one.",
                trigger=trigger,
                actions=[action.model_copy(update=how)],
            )
            if not there:
                client.create_automation(wanted)
            elif [type(each) for each in there[0].actions] == [DoNothing] and how:
                client.update_automation(there[0].id, wanted)


def _wanted() -> list[tuple[str, EventTrigger, str, str]]:
    failed = EventTrigger(
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.role": "deployment"},  # not for what somebody started in a terminal
        for_each={"prefect.resource.id"},
        posture="Reactive",
        threshold=1,
        within=timedelta(0),
    )
    changed = EventTrigger(expect={VERDICT_CHANGED}, posture="Reactive", threshold=1, within=timedelta(0))
    return [
        (
            FAILED,
            failed,
            "Headstart: {{ flow_run.name }} {{ flow_run.state.name }}",
            "{{ flow.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
        ),
        (
            CHANGED,
            changed,
            "Headstart: {{ event.resource.name }}: {{ event.payload.now }}, was {{ event.payload.before }}",
            "{{ event.payload.sentence }}",
        ),
    ]


def _action(client: SyncPrefectClient) -> SendNotification | DoNothing:
    for kind in KINDS:
        try:
            block = client.read_block_document_by_name(BLOCK, kind, include_secrets=False)
        except ObjectNotFound:
            continue
        return SendNotification(block_document_id=block.id, subject="", body="")
    return DoNothing()
