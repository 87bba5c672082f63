"""The frame around all views: navigation, project, theme, problems, dialogs and the live region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput, SymphonyError
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState, Question
from symphony.ui.views import VIEWS, commands, history, keys, panels

if TYPE_CHECKING:
    from symphony.ui.page import Page

RECENT = 6
"""How many folders are offered that were worked on before."""
THEMES = ("system", "light", "dark")
THEME = "ui.theme"
"""The setting that keeps the theme."""


def render(state: PageState) -> Node:
    """The whole tree."""
    running = sum(run["status"] == "running" for run in state.board.runs)
    layout = panels.layout(state.motifs)
    views = [
        {
            "id": name,
            "title": VIEWS[name].title,
            "short": VIEWS[name].short,
            "badge": running if name == "board" else 0,
        }
        for name in dict.fromkeys([*layout["order"], *VIEWS])
        if VIEWS[name].is_linked and (name != "panels" or panels.panels_of(state.motifs))
    ]
    project = state.project or {}
    return h(
        "Shell",
        h(
            "LiveRegion",
            key="live",
            text=state.announcement,
            count=state.announcements,
            shown=state.is_shown or None,
        ),
        _problem(state) if state.question is None else None,
        VIEWS[state.view].render(state),
        _dialog(state),
        history.toast(state.offer) if state.question is None else None,
        key="shell",
        view=state.view,
        views=views,
        theme=state.theme,
        colors=panels.colors(state.motifs),
        dense=layout["density"] == "compact" or None,
        busy=next(iter(state.busy.values()), ""),
        project={
            "name": str(project.get("name") or ""),
            "path": str(project["path"]),
            "git": bool(project.get("is_git")),
        }
        if project.get("path")
        else False,
    )


def _problem(state: PageState) -> Node | None:
    problem = state.problem
    if problem is None:
        return None
    return h(
        "Alert",
        key="problem",
        tone="bad",
        title=problem.title,
        text=problem.remedy or None,
        items=problem.items or None,
        closable=True,
    )


def _dialog(state: PageState) -> Node | None:
    """The open dialog, with the problem in it: behind the dialog nobody would see that."""
    question = state.question
    if question is None:
        return None
    if question.kind == commands.KIND:
        return commands.dialog(state, question)
    if question.kind == keys.KIND:
        return keys.dialog()
    draw = next(
        (view.dialogs[question.kind] for view in VIEWS.values() if question.kind in view.dialogs), None
    )
    dialog = draw(question) if draw else _project_dialog(question)
    if problem := state.problem:
        said = h("Alert", key="dialog.problem", tone="bad", title=problem.title, text=problem.remedy or None)
        dialog["children"].insert(0, said)
    return dialog


def _recent(state: PageState) -> list[str]:
    """The folders that runs worked on, the latest first, but for the one that is open."""
    places = dict.fromkeys(str(run.get("project") or "") for run in state.board.runs)
    opened = (state.project or {}).get("path") or ""
    return [place for place in places if place not in ("", opened)][:RECENT]


def _project_dialog(question: Question) -> Node:
    recent: list[str] = question.data.get("recent") or []
    return h(
        "Dialog",
        h(
            "Form",
            h(
                "TextBox",
                key="project.path",
                name="path",
                label="Folder",
                value=str(question.data.get("path", "")),
                placeholder="/home/you/projects/name",
                text="The full path of a folder on this machine. A git repository gives the most.",
                problem=question.data.get("problem"),
            ),
            h(
                "Line",
                h(
                    "Button",
                    key="project.go",
                    label="Open",
                    variant="primary",
                    submit=True,
                    busy=question.data.get("busy"),
                ),
                h("Button", key="project.cancel", label="Cancel", variant="ghost"),
            ),
            key="project.form",
            label="Open a project",
        ),
        h(
            "Section",
            h(
                "Stack",
                *(
                    h(
                        "Button",
                        key=f"project.recent:{number}",
                        label=place,
                        variant="secondary",
                        icon="arrow",
                        busy=question.data.get("busy"),
                    )
                    for number, place in enumerate(recent)
                ),
                gap="small",
            ),
            title="Where you worked before",
            quiet=True,
        )
        if recent
        else None,
        key="dialog.project",
        title="Open a project",
        text="Melodies play on the open project. Extensions reach it only as far as you allow.",
    )


def end_of_run(run: Json) -> str:
    """What is said when a run has ended."""
    return f"{run.get('name') or 'The run'} {run['status']} after {words.seconds(run.get('seconds') or 0)}"


async def load_project(page: Page) -> None:
    """Loads the open project."""
    page.state.project = await page.host.project()
    page.changed()


async def load_nodes(page: Page) -> None:
    """Loads the Players that can be used."""
    nodes = (await page.host.available_nodes())["nodes"]
    page.state.nodes = {node["player"]: node for node in nodes}
    page.changed()


@on("shell", "navigate")
async def _navigate(page: Page, _argument: str, value: Any) -> None:
    await page.open(str(value))


async def load_theme(page: Page) -> None:
    """Takes theme, colours and layout from the settings."""
    values = {row["key"]: row["value"] for row in (await page.host.settings())["settings"]}
    if values.get(THEME) in THEMES:
        page.state.theme = values[THEME]
    page.state.motifs.colors = str(values.get(panels.SETTINGS["colors"]) or "")
    page.state.motifs.layout = str(values.get(panels.SETTINGS["layout"]) or "")
    page.changed()


@on("shell", "theme")
@on("settings.theme", "change")
async def _theme(page: Page, _argument: str, value: Any) -> None:
    if value in THEMES:
        before, page.state.theme = page.state.theme, str(value)
        page.changed()
        try:
            await page.host.set_setting(THEME, str(value))
        except SymphonyError:
            page.state.theme = before
            raise


@on("shell", "project")
@on("compose.project")
async def _choose_project(page: Page, _argument: str, _value: Any) -> None:
    path = (page.state.project or {}).get("path") or ""
    page.ask("project", path=path, recent=_recent(page.state))


@on("project.cancel")
@on("dialog.project", "close")
async def _close_project(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


@on("project.form", "submit")
async def _open_project(page: Page, _argument: str, value: Any) -> None:
    await _go_to(page, str(value.get("path", "")).strip())


@on("project.recent")
async def _open_recent(page: Page, argument: str, _value: Any) -> None:
    known = (page.state.question.data if page.state.question else {}).get("recent") or []
    if not argument.isdigit() or int(argument) >= len(known):
        raise BadInput("That folder is not offered any more", remedy="give its path")
    await _go_to(page, known[int(argument)])


async def _go_to(page: Page, path: str) -> None:
    recent, before = _recent(page.state), (page.state.project or {}).get("path")
    page.ask("project", path=path, recent=recent, busy=True)
    with page.busy("project", "Opening the project"):
        try:
            page.state.project = await page.host.open_project(path)
        except BadInput as error:
            problem = f"{error.message}. Give the full path of a folder."
            page.ask("project", path=path, recent=recent, problem=problem)
            page.announce(error.message)
            return
    page.answered()
    if page.state.project.get("path") != before and page.state.compose.mode == "maestro":
        # What was composed for another project may fit this one in nothing; the prompt stays.
        page.state.compose.show(None)
        page.state.compose.answer = None
    page.announce(f"{page.state.project.get('name')} is open", show=True)


@on("problem", "close")
async def _close_problem(page: Page, _argument: str, _value: Any) -> None:
    page.state.problem = None
    page.changed()
