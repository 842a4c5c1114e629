"""The dashboard: a run in a terminal, live and afterwards, and what can be done about it.

    app.py          the app: what it looks at, its keys, and which screen is shown
    looking.py      a thread that looks at the run (batchwasm.views) and tells the app, newest news only
    screen.py       what screens of a run share, and the messages by which they ask the app for something
    overview.py     the first screen; job.py, task.py, host.py are what one drills into
    wishes.py       what a person wants done to a run, and what came of it
    words.py        text with roles, before it has colours; drawn.py draws it, table.py in rows; dashboard.tcss has the
                    colour of each role, themes.py what these colours are

Data come from `Source` alone (what batchwasm.views.View is); widgets show rows and know no journal. Texts of guests,
hosts and files are foreign: they become words by `words.foreign()`, never markup.
"""
