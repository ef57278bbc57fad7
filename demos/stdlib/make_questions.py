"""Write ``questions/generated.jsonl``: keyword-heavy questions made from facts of the demo corpus.

Every question states one fact that stands in a docstring or signature: a default value, the owner of a parameter, the
call that raises an exception, an enum member, an equivalent or replacement, or what tells two similar calls apart. The
tables below choose the facts and name their context; values, owners and references are read from the corpus of the
running Python, and a fact that the corpus does not bear out stops the script. No search or ranking is involved.

The shipped file was made with Python 3.11. Facts that do not hold on every supported version carry a specifier.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from lsb_rag.demo.corpus import build_demo_corpus

SEED = 20
MAX_OWNERS = 2
"""A parameter may stand in the signatures of at most this many symbols, or its name does not identify its owner."""

OUTPUT = Path(__file__).parent / "questions" / "generated.jsonl"

# ---------------------------------------------------------------------------------------------------------------------
# Facts. An entry that ends in a version specifier holds only there.

# (name as asked, parameter): every symbol whose dotted name ends in the asked name has to agree on the default.
DEFAULTS: list[tuple[str, ...]] = [
    ("TextWrapper", "placeholder"),
    ("get_close_matches", "cutoff"),
    ("json.dumps", "ensure_ascii"),
    ("ConfigParser", "default_section"),
    ("html.escape", "quote"),
    ("HTMLParser", "convert_charrefs"),
    ("ElementTree.write", "short_empty_elements"),
    ("plistlib.dumps", "sort_keys"),
    ("a85encode", "wrapcol"),
    ("math.isclose", "rel_tol"),
    ("limit_denominator", "max_denominator"),
    ("statistics.quantiles", "method"),
    ("pprint.pformat", "width"),
    ("functools.lru_cache", "maxsize"),
    ("filterwarnings", "append"),
    ("os.makedirs", "exist_ok"),
    ("Path.mkdir", "parents"),
    ("shutil.get_terminal_size", "fallback"),
    ("tempfile.mktemp", "prefix"),
    ("filecmp.cmp", "shallow"),
    ("subprocess.run", "check"),
    ("getpass.getpass", "prompt"),
    ("logging.config.listen", "port"),
    ("TimedRotatingFileHandler", "when"),
    ("SysLogHandler", "address"),
    ("shlex.split", "posix"),
    ("zlib.decompress", "bufsize"),
    ("tarfile.open", "bufsize"),
    ("asyncio.open_connection", "limit"),
    ("readuntil", "separator"),
    ("shelve.open", "flag"),
    ("fetchmany", "size"),
    ("get_channel_binding", "cb_type"),
    ("urllib.parse.quote", "safe"),
    ("Message.as_string", "maxheaderlen"),
    ("TestLoader.discover", "pattern"),
    ("timeit.timeit", "number"),
    ("HTTPSConnection", "blocksize"),
]
DEFAULT_WORDINGS = [
    "What is the default of {parameter} in {name}?",
    "{name} {parameter} default?",
    "default value of {parameter} in {name}",
    "If I leave out the {parameter} argument of {name}, what value is used?",
    "{name}: what does {parameter} default to",
    "{name} called without {parameter}=, what is assumed?",
]

# (parameter, when one needs it)
PARAMETERS: list[tuple[str, ...]] = [
    ("fix_sentence_endings", "when wrapping text"),
    ("wrapcolumn", "for an HTML diff"),
    ("underscore_numbers", "when pretty-printing ints"),
    ("space_around_delimiters", "when saving an ini file"),
    ("rewrite_prefixes", "for C14N output"),
    ("map01", "when decoding base32"),
    ("cum_weights", "for a weighted random draw"),
    ("dict_factory", "for dataclasses"),
    ("capture_locals", "for tracebacks"),
    ("effective_ids", "for a permission check"),
    ("missing_ok", "when deleting a path"),
    ("ignore_dangling_symlinks", "when copying a directory tree"),
    ("ignore_cleanup_errors", "for temp directories"),
    ("fromfile_prefix_chars", "in a command line parser"),
    ("allow_abbrev", "for long options"),
    ("respect_handler_level", "in queue based logging"),
    ("flushOnClose", "for buffered logging"),
    ("warn_on_full_buffer", "with signals"),
    ("punctuation_chars", "in a shell lexer"),
    ("maxtasksperchild", "for worker processes"),
    ("happy_eyeballs_delay", "in asyncio"),
    ("dualstack_ipv6", "for a listening socket"),
    ("keep_blank_values", "when parsing query strings"),
    ("quote_via", "when building a query string"),
    ("initial_response_ok", "for SMTP authentication"),
    ("tb_locals", "in unittest"),
    ("any_order", "when checking mock calls"),
    ("bytes_le", "for a UUID"),
    ("keyencoding", "for shelves"),
    ("strict_timestamps", "in zipfile"),
    ("metadata_encoding", "for member names of a zip", ">=3.11"),
]
PARAMETER_WORDINGS = [
    "Which call accepts {parameter}= {context}?",
    "{parameter} argument {context}, where do I pass it?",
    "got an unexpected keyword argument '{parameter}' - what does take it {context}?",
    "what has the {parameter} parameter? I need it {context}",
    "{parameter} option {context}: which docs?",
    "where is {parameter} documented? need it {context}",
]

# (symbols, exception, when it comes)
EXCEPTIONS: list[tuple[list[str], str, str] | tuple[list[str], str, str, str]] = [
    (["configparser.RawConfigParser.add_section"], "DuplicateSectionError", "if the new section already exists"),
    (["xml.etree.ElementTree.register_namespace"], "ValueError", "for a reserved namespace prefix"),
    (["math.factorial"], "ValueError", "in math for a negative or non-integral x"),
    (["collections.OrderedDict.move_to_end"], "KeyError", "when the element to move isn't in the OrderedDict"),
    (["graphlib.TopologicalSorter.add"], "ValueError", "once TopologicalSorter.prepare has been called"),
    (["contextvars.ContextVar.get"], "LookupError", "when a ContextVar has neither value nor default"),
    (["inspect.unwrap"], "ValueError", "when the __wrapped__ chain is a cycle"),
    (
        ["inspect.getsource", "inspect.getsourcelines", "inspect.findsource"],
        "OSError",
        "when an object's source code can't be retrieved",
    ),
    (["os.get_terminal_size"], "OSError", "when asked for the terminal size of a non-terminal fd"),
    (["os.fspath"], "TypeError", "for an object without __fspath__"),
    (["shutil.copytree"], "FileExistsError", "when the destination directory is already there"),
    (["shutil.unpack_archive"], "ValueError", "when no unpacker fits the archive's extension"),
    (
        ["subprocess.CompletedProcess.check_returncode"],
        "CalledProcessError",
        "when called on a CompletedProcess that failed",
    ),
    (["selectors.BaseSelector.unregister"], "KeyError", "if the fileobj was never registered with the selector"),
    (
        ["bz2.BZ2Decompressor.decompress", "lzma.LZMADecompressor.decompress"],
        "EOFError",
        "when fed data after the end of the compressed stream",
    ),
    (["gzip.GzipFile.fileno"], "AttributeError", "when the wrapped file object has no fileno"),
    (["tarfile.TarFile.getmember", "tarfile.TarFile.extractfile"], "KeyError", "for a member missing from the tar"),
    (["threading.Thread.start"], "RuntimeError", "when the same Thread object is started again"),
    (["threading.Thread.daemon"], "RuntimeError", "when a property is set on an already started Thread"),
    (
        ["queue.Queue.task_done", "asyncio.Queue.task_done"],
        "ValueError",
        "when a queue consumer calls it once too often",
    ),
    (["asyncio.Queue.put_nowait", "asyncio.QueueFull"], "QueueFull", "when there is no free slot"),
    (["asyncio.StreamReader.readexactly"], "IncompleteReadError", "if EOF comes before n bytes were read"),
    (["asyncio.StreamReader.readuntil"], "LimitOverrunError", "when the data runs over the buffer limit"),
    (["asyncio.get_running_loop"], "RuntimeError", "when there is no running event loop"),
    (
        ["urllib.parse.parse_qs", "urllib.parse.parse_qsl"],
        "ValueError",
        "with too many query fields for max_num_fields",
    ),
    (["smtplib.SMTP.data", "smtplib.SMTP.sendmail"], "SMTPDataError", "after an unexpected reply from the server"),
    (["email.message.Message.set_boundary"], "HeaderParseError", "when the message has no Content-Type"),
    (["email.message.Message.replace_header"], "KeyError", "when no such header is in the message"),
    (["unittest.mock.patch", "unittest.mock.create_autospec"], "RuntimeError", "when autospec is misspelled"),
    (["signal.default_int_handler"], "KeyboardInterrupt", "on SIGINT"),
    (["pathlib.PurePath.relative_to"], "ValueError", "when one path is not a subpath of the other", "<3.12"),
]
EXCEPTION_WORDINGS = [
    "What raises {exception} {context}?",
    "{exception} {context} - where does that come from?",
    "which call throws {exception} {context}",
    "{exception} is raised {context}, by which function?",
    "where is it documented that {exception} is raised {context}",
]

# Where a docstring raises the same exception for more than one reason: the words that go with the situation above.
EXCEPTION_REFERENCES = {"urllib.parse.parse_qs": "throws a ValueError"}

# (symbol, member, template set)
MEMBERS: list[tuple[str, ...]] = [
    ("http.HTTPStatus", "EARLY_HINTS", "http"),
    ("http.HTTPStatus", "IM_USED", "http"),
    ("http.HTTPStatus", "IM_A_TEAPOT", "http"),
    ("http.HTTPStatus", "MISDIRECTED_REQUEST", "http"),
    ("http.HTTPStatus", "REQUEST_HEADER_FIELDS_TOO_LARGE", "http"),
    ("http.HTTPStatus", "LOOP_DETECTED", "http"),
    ("http.HTTPStatus", "NETWORK_AUTHENTICATION_REQUIRED", "http"),
    ("ssl.AlertDescription", "ALERT_DESCRIPTION_HANDSHAKE_FAILURE", "alert"),
    ("ssl.AlertDescription", "ALERT_DESCRIPTION_UNKNOWN_CA", "alert"),
    ("ssl.AlertDescription", "ALERT_DESCRIPTION_INSUFFICIENT_SECURITY", "alert"),
    ("ssl.AlertDescription", "ALERT_DESCRIPTION_UNRECOGNIZED_NAME", "alert"),
    ("ssl.SSLErrorNumber", "SSL_ERROR_ZERO_RETURN", "value"),
    ("ssl.SSLErrorNumber", "SSL_ERROR_WANT_X509_LOOKUP", "value"),
    ("ssl.VerifyMode", "CERT_OPTIONAL", "value"),
    ("ssl.TLSVersion", "TLSv1_3", "value"),
    ("signal.Signals", "SIGTERM", "value"),
    ("re.RegexFlag", "DOTALL", "value", ">=3.11"),
]
MEMBER_WORDINGS = {
    "http": [
        "HTTP status {value} meaning",
        "server answers {value}, what status is that?",
        "which HTTPStatus member has the code {value}",
        "numeric HTTP status code for {member}?",
    ],
    "alert": [
        "TLS alert {value}, which alert description is it?",
        "ssl alert number {value} meaning",
        "what number is {member}?",
        "handshake aborted with alert {value} - what is its name",
    ],
    "value": [
        "numeric value of the {member} constant",
        "what integer is {member}?",
        "{member} = ?",
        "which enum defines {member} and with what value?",
    ],
}

# Symbols whose docstring says what they are the same as; the expression asked about is read from there.
EQUIVALENTS: list[tuple[str, ...]] = [
    ("os.lstat",),
    ("os.fstat",),
    ("heapq.nlargest",),
    ("heapq.nsmallest",),
    ("time.ctime",),
    ("datetime.date.today",),
    ("traceback.format_tb",),
    ("math.dist",),
    ("asyncio.new_event_loop",),
    ("unittest.TestCase.assertIsNone",),
    ("xml.etree.ElementTree.ElementTree.findtext",),
    ("random.randrange", ">=3.11"),
]
EQUIVALENT_PATTERN = re.compile(r"(?i)(?:equivalent to|same as|shorthand for):?\s+(?:calling )?[`']*(?=[\w.]+\()")
EQUIVALENT_WORDINGS = [
    "which function is equivalent to {code}?",
    "{code} - is there a single call for this?",
    "shorthand for {code}",
    "what can I call instead of {code}",
]

# Symbols whose docstring names what to use in their place.
REPLACED: list[tuple[str, ...]] = [
    ("threading.Condition.notifyAll",),
    ("threading.Event.isSet",),
    ("threading.Thread.setDaemon",),
    ("threading.Thread.getName",),
    ("abc.abstractproperty",),
    ("abc.abstractstaticmethod",),
    ("logging.fatal",),
    ("pathlib.Path.link_to", "<3.12"),
    ("configparser.LegacyInterpolation", "<3.13"),
]
REPLACED_PATTERN = re.compile(r"(?i)\buse (?:(?!\buse\b)[^;]){3,60}? instead")
REPLACED_WORDINGS = [
    "what should I use instead of {name}?",
    "{name} replacement",
    "{name} deprecated? what's the new way",
    "linter flags {name} - use what?",
]

# (right symbol, the one it is confused with, what only the right one does, words of its docstring)
PAIRS: list[tuple[str, ...]] = [
    ("json.dumps", "json.dump", "gives me a str", "JSON formatted ``str``"),
    ("textwrap.wrap", "textwrap.fill", "returns the lines as a list", "returning a list of wrapped lines"),
    ("shutil.copy2", "shutil.copy", "keeps the file metadata", "Copy data and metadata"),
    ("os.path.realpath", "os.path.abspath", "resolves symlinks", "eliminating any symbolic links"),
    ("os.path.lexists", "os.path.exists", "is true for a broken symlink", "True for broken symbolic links"),
    ("os.replace", "os.rename", "is meant to overwrite an existing target", "overwriting the destination"),
    (
        "pathlib.Path.absolute",
        "Path.resolve",
        "leaves symlinks alone",
        "No normalization or symlink resolution",
        ">=3.11",
    ),
    ("heapq.heappushpop", "heapq.heapreplace", "pushes before it pops", "Push item on the heap, then pop"),
    ("bisect.bisect_left", "bisect.bisect", "gives the index before equal items", "just before the leftmost x"),
    ("re.fullmatch", "re.match", "has to match the entire string", "all of the string"),
    ("re.subn", "re.sub", "tells me the number of replacements", "2-tuple containing (new_string, number)"),
    ("itertools.dropwhile", "itertools.filterfalse", "only skips leading items", "Drop items from the iterable while"),
    ("math.modf", "math.frexp", "returns fractional and integer part", "fractional and integer parts"),
    ("time.process_time", "time.perf_counter", "counts CPU time only", "sum of the kernel and user-space CPU time"),
    ("datetime.date.isoweekday", "date.weekday", "counts Monday as 1", "Monday == 1"),
    ("statistics.pstdev", "statistics.stdev", "is for a whole population", "square root of the population variance"),
    ("fnmatch.fnmatchcase", "fnmatch.fnmatch", "never normalizes case", "doesn't case-normalize"),
    (
        "tempfile.NamedTemporaryFile",
        "tempfile.TemporaryFile",
        "gives a file with a name attribute",
        "accessible as its 'name' attribute",
    ),
    ("subprocess.getstatusoutput", "subprocess.getoutput", "returns the exit code as well", "(exitcode, output)"),
    ("hmac.digest", "hmac.new", "is the faster one-shot call", "Fast inline implementation of HMAC"),
    ("secrets.token_urlsafe", "secrets.token_hex", "returns Base64 text", "in Base64 encoding"),
    ("uuid.uuid5", "uuid.uuid3", "hashes with SHA-1", "SHA-1 hash"),
    ("threading.RLock", "threading.Lock", "is reentrant", "may acquire it again without blocking"),
    ("multiprocessing.pool.Pool.imap_unordered", "Pool.imap", "ignores the result order", "results is arbitrary"),
    ("concurrent.futures.as_completed", "futures.wait", "yields futures one by one", "yields each as it completes"),
    ("asyncio.wait_for", "asyncio.wait", "cancels the task on timeout", "it cancels the task"),
    ("socket.SocketType.connect_ex", "socket.connect", "returns the errno", "instead of raising an exception"),
    ("urllib.parse.urlsplit", "urllib.parse.urlparse", "gives 5 components", "5 components"),
    ("urllib.parse.quote_plus", "urllib.parse.quote", "encodes a space as +", "replace ' ' with '+'"),
    ("zipfile.ZipFile.writestr", "ZipFile.write", "takes the data itself", "The contents is 'data'"),
    (
        "unittest.mock.NonCallableMock.assert_any_call",
        "Mock.assert_called_with",
        "passes if an earlier call matched",
        "*ever* been called",
    ),
    (
        "unittest.TestCase.assertCountEqual",
        "assertSequenceEqual",
        "disregards the order",
        "without regard to order",
    ),
]
PAIR_WORDINGS = [
    "{first} or {second}: which one {context}?",
    "{first} vs {second}, which {context}",
    "Difference between {first} and {second}: which of them {context}?",
    "which {context}, {first} or {second}?",
]

# Other symbols that document the very same fact: an alias, or the overview of the module.
ALIASES = {
    "configparser.ConfigParser": "configparser",
    "configparser.RawConfigParser.write": "configparser",
    "difflib.get_close_matches": "difflib",
    "filecmp.cmp": "filecmp",
    "logging.fatal": "logging.Logger.fatal",
    "subprocess.getstatusoutput": "subprocess",
    "tarfile.open": "tarfile.TarFile.open",
    "uuid.uuid5": "uuid",
}

# How a symbol is called in a question where its own name is not how people write it.
SPOKEN = {
    "datetime.date.isoweekday": "date.isoweekday",
    "socket.SocketType.connect_ex": "socket.connect_ex",
    "multiprocessing.pool.Pool.imap_unordered": "Pool.imap_unordered",
    "unittest.mock.NonCallableMock.assert_any_call": "Mock.assert_any_call",
    "unittest.TestCase.assertCountEqual": "assertCountEqual",
    "pathlib.Path.absolute": "Path.absolute",
    "concurrent.futures.as_completed": "futures.as_completed",
    "zipfile.ZipFile.writestr": "ZipFile.writestr",
    "threading.Condition.notifyAll": "Condition.notifyAll",
    "threading.Event.isSet": "Event.isSet",
    "threading.Thread.setDaemon": "Thread.setDaemon",
    "threading.Thread.getName": "Thread.getName",
    "pathlib.Path.link_to": "Path.link_to",
    "configparser.LegacyInterpolation": "LegacyInterpolation",
}

# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """One question before it has an id.

    :param type: The table that it comes from.
    :param wordings: The ways to ask it.
    :param values: What fills the wordings.
    :param gold: The symbols that answer it.
    :param reference: Words of their documentation.
    :param python: The versions for which it holds.
    """

    type: str
    wordings: tuple[str, ...]
    values: dict[str, str]
    gold: tuple[str, ...]
    reference: str
    python: str = ""


class Corpus:
    """The symbols of the demo corpus with their whole text and their signatures."""

    def __init__(self) -> None:
        """Read the corpus of the running Python."""
        parts: dict[str, list[str]] = defaultdict(list)
        self.kinds: dict[str, str] = {}
        for passage in build_demo_corpus():
            symbol = str(passage.metadata["symbol"])
            parts[symbol].append(passage.content)
            self.kinds[symbol] = str(passage.metadata["kind"])
        self.parts = dict(parts)
        self.parameters = {symbol: self._signature(symbol) for symbol in self.parts if self.kinds[symbol] != "module"}

    def _signature(self, symbol: str) -> dict[str, str]:
        """Parameter names with their defaults (empty for none), from the signature that heads the first part."""
        title, _, text = self.parts[symbol][0].partition("\n")
        name = title.rpartition(".")[2]
        head = re.match(rf"(?:[\w.]+\n+)?(?:\w+\.)?{re.escape(name)}\((.*)", text)
        if not head:
            return {}
        found: dict[str, str] = {}
        for item in _split_arguments(head.group(1)):
            match = re.match(r"\*{0,2}(\w+)(?:: [^=]+)?(?:\s?=\s?(.+))?$", item.strip(), re.DOTALL)
            if match:
                found[match.group(1)] = match.group(2) or ""
        return found

    def contains(self, symbol: str, reference: str) -> bool:
        """Whether one passage of `symbol` contains `reference`, letter case and white space aside."""
        return any(_folded(reference) in _folded(part) for part in self.parts.get(symbol, ()))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _shuffled(items: Iterable[str], key: str) -> list[str]:
    """`items` in an order that depends on `key` alone."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{key} {item}".encode()).digest())


def _split_arguments(text: str) -> Iterator[str]:
    """The arguments of a call whose opening bracket has just been read, up to its closing one."""
    depth, quote, item = 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif character == "," and depth == 0:
            yield item
            item = ""
            continue
        item += character
    if item.strip():
        yield item


def _expression(text: str) -> str:
    """The expression that `text` starts with, up to the last bracket of its calls and subscripts."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and character in ")]" and not re.match(r"\[|\.\w", text[position + 1 :]):
            return text[: position + 1]
    raise ValueError(f"no call in {text!r}")


def default_facts(corpus: Corpus) -> Iterator[Fact]:
    """What a parameter is when it is not given."""
    for name, parameter, *python in DEFAULTS:
        owners = [
            symbol
            for symbol, parameters in corpus.parameters.items()
            if f".{symbol}".endswith(f".{name}") and parameters.get(parameter)
        ]
        values = {corpus.parameters[symbol][parameter] for symbol in owners}
        if len(values) != 1:
            raise ValueError(f"{name}({parameter}): {values or 'no default'} in {owners}")
        yield Fact(
            "default",
            tuple(DEFAULT_WORDINGS),
            {"name": name, "parameter": parameter},
            tuple(owners),
            f"{parameter}={values.pop()}",
            *python,
        )


def parameter_facts(corpus: Corpus) -> Iterator[Fact]:
    """Which symbol owns a parameter."""
    for parameter, context, *python in PARAMETERS:
        if not _holds(python):
            continue
        owners = [symbol for symbol, parameters in corpus.parameters.items() if parameter in parameters]
        if not 1 <= len(owners) <= MAX_OWNERS:
            raise ValueError(f"{parameter} is a parameter of {owners}")
        values = {"parameter": parameter, "context": context}
        yield Fact("parameter", tuple(PARAMETER_WORDINGS), values, tuple(owners), parameter, *python)


def exception_facts(corpus: Corpus) -> Iterator[Fact]:
    """What raises an exception in a given situation."""
    for symbols, exception, context, *python in EXCEPTIONS:
        if not _holds(python):
            continue
        pattern = (
            rf"(?i)(?:rais|throw)\w*\s+(?:an?\s+)?\W{{0,6}}{exception}"
            rf"|{exception}\W{{0,3}}\s+(?:exception\s+)?(?:is|will\s+be)\s+(?:raised|thrown)"
        )
        phrases = [match.group() for part in corpus.parts[symbols[0]] for match in re.finditer(pattern, part)]
        phrases = [EXCEPTION_REFERENCES[symbols[0]]] if symbols[0] in EXCEPTION_REFERENCES else phrases
        common = [phrase for phrase in phrases if all(corpus.contains(symbol, phrase) for symbol in symbols)]
        reference = " ".join(common[0].split()) if common else exception
        yield Fact(
            "exception",
            tuple(EXCEPTION_WORDINGS),
            {"exception": exception, "context": context},
            tuple(symbols),
            reference,
            *python,
        )


def member_facts(corpus: Corpus) -> Iterator[Fact]:
    """The value of an enum member, or the member of a value."""
    for symbol, member, wordings, *python in MEMBERS:
        if not _holds(python):
            continue
        found = re.search(rf"(?m)^({member}) = ([\w']+)", "\n".join(corpus.parts[symbol]))
        if not found:
            raise ValueError(f"{symbol} has no member {member}")
        values = {"member": found.group(1), "value": found.group(2)}
        yield Fact("member", tuple(MEMBER_WORDINGS[wordings]), values, (symbol,), found.group(), *python)


def equivalent_facts(corpus: Corpus) -> Iterator[Fact]:
    """Which symbol does the same as an expression."""
    for symbol, *python in EQUIVALENTS:
        if not _holds(python):
            continue
        found = EQUIVALENT_PATTERN.search(" ".join("\n".join(corpus.parts[symbol]).split()))
        if not found:
            raise ValueError(f"{symbol} names no equivalent")
        code = _expression(found.string[found.end() :])
        gold = [other for other in corpus.parts if corpus.contains(other, found.group() + code)]
        gold += [symbol] if symbol not in gold else []
        yield Fact("equivalent", tuple(EQUIVALENT_WORDINGS), {"code": code}, tuple(gold), code, *python)


def replaced_facts(corpus: Corpus) -> Iterator[Fact]:
    """What to use in place of a symbol."""
    for symbol, *python in REPLACED:
        if not _holds(python):
            continue
        found = REPLACED_PATTERN.search(" ".join("\n".join(corpus.parts[symbol]).split()))
        if not found:
            raise ValueError(f"{symbol} names no replacement")
        values = {"name": SPOKEN.get(symbol, symbol)}
        yield Fact("replaced", tuple(REPLACED_WORDINGS), values, (symbol,), found.group(), *python)


def pair_facts(seed: int) -> Iterator[Fact]:
    """Which of two similar symbols does something."""
    for symbol, other, context, reference, *python in PAIRS:
        if not _holds(python):
            continue
        names = _shuffled([SPOKEN.get(symbol, symbol), other], f"{seed} {symbol}")
        values = {"first": names[0], "second": names[1], "context": context}
        yield Fact("pair", tuple(PAIR_WORDINGS), values, (symbol,), reference, *python)


def _holds(python: list[str]) -> bool:
    return all(SpecifierSet(specifier).contains(platform.python_version(), prereleases=True) for specifier in python)


def generated_questions(seed: int) -> list[dict[str, object]]:
    """All questions in the order of their tables, each wording of a table used about equally often."""
    corpus = Corpus()
    facts = [
        *default_facts(corpus),
        *parameter_facts(corpus),
        *exception_facts(corpus),
        *member_facts(corpus),
        *equivalent_facts(corpus),
        *replaced_facts(corpus),
        *pair_facts(seed),
    ]
    turns: dict[tuple[str, ...], list[str]] = {}
    rows: list[dict[str, object]] = []
    for number, fact in enumerate(facts, start=1):
        gold = [*fact.gold, *(ALIASES[symbol] for symbol in fact.gold if symbol in ALIASES)]
        missing = [symbol for symbol in gold if not corpus.contains(symbol, fact.reference)]
        if missing:
            raise ValueError(f"{fact.reference!r} does not stand in {missing}: {asdict(fact)}")
        if not turns.get(fact.wordings):
            turns[fact.wordings] = _shuffled(fact.wordings, f"{seed} {number}")
        row: dict[str, object] = {
            "id": f"g{number:03}",
            "text": turns[fact.wordings].pop().format(**fact.values),
            "kind": "keyword",
            "gold": gold,
            "reference": fact.reference,
        }
        rows.append(row | ({"python": fact.python} if fact.python else {}))
    texts = Counter(row["text"] for row in rows)
    if repeated := [text for text, count in texts.items() if count > 1]:
        raise ValueError(f"asked twice: {repeated}")
    print(", ".join(f"{count} {name}" for name, count in Counter(fact.type for fact in facts).items()), file=sys.stderr)
    return rows


def main() -> None:
    """Write the questions as JSON lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=SEED, help="choice and order of the wordings (default %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file to write (default %(default)s)")
    options = parser.parse_args()
    lines = [json.dumps(row, ensure_ascii=False) for row in generated_questions(options.seed)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
