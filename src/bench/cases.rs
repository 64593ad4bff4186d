//! Programs from Debian packages: what each is given to do.

use super::group::Group;

/// One program with something to do.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The group whose mean it counts towards.
    pub group: Group,
    /// What it does, in a few words.
    pub about: &'static str,
    /// How much of it.
    pub count: u64,
    /// The program's path in the root; `{triple}` is the architecture's name, `{version}` the only
    /// folder at its place.
    pub program: &'static str,
    /// Its arguments; `{n}` is the count, `{file*}` stands for `file`, count
    /// times.
    pub arguments: &'static [&'static str],
    /// Whether the build for this machine prints the same. A compiler does not: it makes code for
    /// its own machine.
    pub same_everywhere: bool,
    /// What to run first: the file to keep its output in, and the arguments.
    pub prepare: Option<(&'static str, &'static [&'static str])>,
}

const fn case(
    group: Group,
    name: &'static str,
    count: u64,
    about: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
) -> Case {
    Case {
        name,
        group,
        about,
        count,
        program,
        arguments,
        same_everywhere: true,
        prepare: None,
    }
}

const LUA: &str = "usr/bin/lua5.4";
const PYTHON: &str = "usr/bin/python3";
const PERL: &str = "usr/bin/perl";
const SQLITE: &str = "usr/bin/sqlite3";
const XZ: &str = "usr/bin/xz";
const OPENSSL: &str = "usr/bin/openssl";

/// Every case, group by group. The files are those of `inputs`.
pub static CASES: &[Case] = &[
    case(
        Group::Scripts,
        "lua-tables",
        1_500,
        "tables, strings, closures, coroutines",
        LUA,
        &["tables.lua", "{n}"],
    ),
    case(
        Group::Scripts,
        "lua-heat",
        8_000,
        "floating point in tables",
        LUA,
        &["heat.lua", "{n}"],
    ),
    case(
        Group::Scripts,
        "python-objects",
        500,
        "classes, dictionaries, generators, exceptions",
        PYTHON,
        &["objects.py", "{n}"],
    ),
    case(
        Group::Scripts,
        "python-numbers",
        250,
        "floats, large integers, lists of numbers",
        PYTHON,
        &["numbers.py", "{n}"],
    ),
    case(
        Group::Scripts,
        "perl-text",
        500,
        "regular expressions, hashes, sorting",
        PERL,
        &["text.pl", "{n}"],
    ),
    case(
        Group::Scripts,
        "perl-graph",
        400,
        "subroutines, arrays of arrays",
        PERL,
        &["graph.pl", "{n}"],
    ),
    case(
        Group::Scripts,
        "sqlite-query",
        1_500,
        "joins, groups, windows, an index, updates",
        SQLITE,
        &[
            ":memory:",
            "create table scale as select {n} as n",
            ".read query.sql",
        ],
    ),
    case(
        Group::Tools,
        "xz",
        1,
        "compressing text",
        XZ,
        &["-T1", "-1", "-c", "{text.dat*}"],
    ),
    Case {
        prepare: Some(("text.xz", &["-T1", "-1", "-c", "text.dat"])),
        ..case(
            Group::Tools,
            "unxz",
            12,
            "decompressing text",
            XZ,
            &["-T1", "-d", "-c", "{text.xz*}"],
        )
    },
    case(
        Group::Tools,
        "zstd",
        2,
        "compressing text",
        "usr/bin/zstd",
        &["-q", "--single-thread", "-12", "-c", "{text.dat*}"],
    ),
    case(
        Group::Tools,
        "bzip2",
        2,
        "compressing text",
        "usr/bin/bzip2",
        &["-9", "-c", "{text.dat*}"],
    ),
    case(
        Group::Tools,
        "openssl-sha256",
        60,
        "SHA-256; the amd64 build uses the processor's own instructions",
        OPENSSL,
        &["dgst", "-sha256", "{text.dat*}"],
    ),
    case(
        Group::Tools,
        "openssl-sha3",
        30,
        "SHA3-256",
        OPENSSL,
        &["dgst", "-sha3-256", "{text.dat*}"],
    ),
    case(
        Group::Tools,
        "openssl-prime",
        16,
        "arithmetic with 1279 bits",
        OPENSSL,
        &["prime", "-hex", "{mersenne*}"],
    ),
    Case {
        same_everywhere: false,
        ..case(
            Group::Tools,
            "gcc",
            1,
            "the C compiler proper, -O2; the amd64 build makes amd64 code",
            "usr/libexec/gcc/{triple}/{version}/cc1",
            &[
                "-quiet",
                "-w",
                "-O2",
                "-nostdinc",
                "-ffreestanding",
                "{march}",
                "-I.",
                "chess.c",
                "-o",
                "-",
            ],
        )
    },
    case(
        Group::Short,
        "python-start",
        1,
        "python3 importing json, re and argparse",
        PYTHON,
        &[
            "-c",
            "import json, re, argparse; print(json.dumps(re.findall('[a-z]+', 'start and end')))",
        ],
    ),
    case(
        Group::Short,
        "lua-short",
        90,
        "tables, strings, closures, coroutines",
        LUA,
        &["tables.lua", "{n}"],
    ),
    case(
        Group::Short,
        "perl-short",
        35,
        "regular expressions, hashes, sorting",
        PERL,
        &["text.pl", "{n}"],
    ),
    case(
        Group::Short,
        "sqlite-short",
        100,
        "joins, groups, windows, an index, updates",
        SQLITE,
        &[
            ":memory:",
            "create table scale as select {n} as n",
            ".read query.sql",
        ],
    ),
];
