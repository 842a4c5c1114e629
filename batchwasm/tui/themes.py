"""Two themes, dark and light, whose pairs of colours in use keep a contrast of 4.5."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="batchwasm-dark",
    dark=True,
    primary="#7aa2f7",
    secondary="#9aa5ce",
    accent="#e0af68",
    success="#9ece6a",
    warning="#e0af68",
    error="#ff7a93",
    foreground="#d5d9e8",
    background="#14161e",
    surface="#1a1d27",
    panel="#242837",
    variables={
        "cursor": "#31384f",
        "scrollbar": "#7d88b0",
        "scrollbar-hover": "#9aa5ce",
        "scrollbar-active": "#9aa5ce",
        "scrollbar-background": "#242837",
        "scrollbar-background-hover": "#242837",
        "scrollbar-background-active": "#242837",
    },
)
LIGHT = Theme(
    name="batchwasm-light",
    dark=False,
    primary="#1f4fa3",
    secondary="#4a5573",
    accent="#7a4a00",
    success="#2c6b1f",
    warning="#7a4a00",
    error="#a8123c",
    foreground="#1c2030",
    background="#fbfbfd",
    surface="#f1f2f7",
    panel="#e2e5ef",
    variables={
        "cursor": "#d3dcf2",
        "scrollbar": "#6b7699",
        "scrollbar-hover": "#4a5573",
        "scrollbar-active": "#4a5573",
        "scrollbar-background": "#e2e5ef",
        "scrollbar-background-hover": "#e2e5ef",
        "scrollbar-background-active": "#e2e5ef",
    },
)
THEMES = (DARK, LIGHT)
