import pytest

from lsb_rag.lexical.identifiers import AS_A_PART, AS_TYPED, OTHER_CASE, alike, held, identifiers

COMMON = {"nasa": 0.01, "tv": 0.02}.get


def background(unit: str) -> float:
    return COMMON(unit, 0.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What does E-4999 mean?", ["E-4999"]),
        ("does git rebase --autosquash need -i", ["--autosquash", "-i"]),
        ("core.autocrlf input", ["core.autocrlf"]),
        ("wal_keep_size vs maxRetries", ["wal_keep_size", "maxRetries"]),
        ("SQLSTATE 40P01", ["SQLSTATE", "40P01"]),
        ("what does !== do in C++", ["!==", "C++"]),
        ("why does os.path.join() fail", ["os.path.join"]),
        ("is 10.0.0.1 or 2001:db8::1 mine", ["10.0.0.1", "2001:db8::1"]),
        ("the part 6ES7 315-2EH14-0AB0", ["6ES7", "315-2EH14-0AB0"]),
        ("what is `stash` for", ["stash"]),
        ("ENOENT's cause", ["ENOENT"]),
        ("GIT_SSH_COMMAND at /etc/hosts and $HOME", ["GIT_SSH_COMMAND", "/etc/hosts", "$HOME"]),
    ],
)
def test_identifiers_are_what_stands_for_one_thing(text, found):
    assert identifiers(text, background) == found


@pytest.mark.parametrize(
    "text",
    [
        "Who won the Super Bowl in the 1990s, the 19th or 20th?",
        "How many of the 4 schools cost $5 or 10% more?",
        "the 20-year-old from the mid-1990s, e.g. the U.S. and/or NASA",
        "WHAT DOES THIS MEAN AND WHY",
        "McDonald's and O'Brien's well-known father-in-law - a Ph.D.",
        "______ is what? ... --",
        "",
    ],
)
def test_years_amounts_surnames_and_ordinary_words_are_none(text):
    assert identifiers(text, background) == []


def test_a_text_holds_an_identifier_as_typed_in_other_case_or_as_a_part():
    assert held("E-4012", "(E-4012): blocked") == AS_TYPED
    assert held("e-4012", "E-4012: blocked") == OTHER_CASE
    assert held("-v", "-v,--verbose be loud") == AS_TYPED  # an item of a list
    assert held("maxRetries", "see config.maxRetries") == AS_A_PART
    assert held("os.path.join", "os.path.join(path, *paths)") == AS_A_PART
    assert held("os.path.join", "call os.path.join().") == AS_TYPED
    assert held("get_binding", "SSLObject.get_binding(self)") == AS_A_PART
    assert held("re.DOTALL", "re: DOTALL matches a newline") == AS_A_PART
    assert held("force=True", "call(self, force=False)") == AS_A_PART
    assert not held("re.DOTALL", "re: VERBOSE ignores comments")


@pytest.mark.parametrize("other", ["E-40120", "E-4012-7", "AE-4012", "E4012", "E-402", "e 4012"])
def test_a_look_alike_does_not_hold_it(other):
    assert not held("E-4012", f"{other}: blocked")


def test_look_alikes_are_of_one_kind():
    for one, other in [("E-4012", "E4013"), ("E-4012", "F-301"), ("--force", "-f"), ("wal_size", "wal_level")]:
        assert alike(one, other)
    kinds = ("E-4012", "ZX81", "--force", "maxRetries", "ENOENT", "!==", "10.0.0.1")
    assert not any(alike(one, other) for one in kinds for other in kinds if one != other)
