"""``lsb-rag demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson, Db, GeneratorChoice, Seed, database, print_json, program


def demo(
    questions: Annotated[int, typer.Option("-n", "--questions", min=0, help="Questions to show.")] = 8,
    generator: GeneratorChoice = "extractive",
    seed: Seed = 2508,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Ask the standard library's documentation, with and without LexSemBridge.

    Builds the corpus from the running Python's docstrings, indexes it once, shows some questions side by side and
    compares retrievers on all of them.
    """
    from .console import loading, out, plain, say, show_evaluation

    with loading():
        from ..demo import run
        from ..generation import checked_choice, make_generator
        from . import demo_view
        from .console import passages_progress, steps_progress
    checked_choice(generator)  # before minutes of indexing
    drawn = run.draw_questions(questions, seed)
    folder = database(db)
    with passages_progress("Indexing the documentation") as progress:
        store, corpus, embedded = run.index_demo(folder, progress)
        store.fit(progress=progress)
    state = f"indexed {embedded} of them" if embedded else "all indexed before"
    say(f"{len(corpus)} passages of documentation, {state}: collection {store.name} in {folder}")
    with steps_progress("Answering") as step:
        answerer = make_generator(generator, store.encoder, table=store.sentences)
        comparisons = run.compare_retrievers(store, corpus, answerer, drawn, progress=step)
    if not as_json:
        for number, comparison in enumerate(comparisons, start=1):
            demo_view.show_comparison(out, number, comparison)
    with steps_progress("Comparing on all questions") as step:
        evaluation = run.evaluate_all(store, corpus, progress=step)
    if as_json:
        print_json(demo_view.as_json(comparisons, evaluation))
        return
    show_evaluation(out, evaluation)
    db_option = f" --db {folder}" if db else ""
    command = f'{program()} ask "what does check=True do in subprocess.run" -c {store.name}{db_option}'
    out.print(plain(f"Ask it yourself: {command}"), soft_wrap=True)
