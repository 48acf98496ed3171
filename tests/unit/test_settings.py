"""What is said of a queue, by whom, and what becomes of it."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
import uuid
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import pqueue
from pqueue import config, where
from pqueue.settings import QueueSettings
from pqueue_local import LocalSettings
from pqueue_memory import MemorySettings
from pqueue_s3 import S3Settings


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory and an environment without any configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PQUEUE_CONFIG", raising=False)


def memory(**settings: object) -> dict[str, object]:
    return {"backend": "memory", "name": uuid.uuid4().hex, **settings}


def refusal(*arguments: object, **settings: object) -> str:
    with pytest.raises(pqueue.SettingsError) as caught:
        pqueue.open(*arguments, **settings)
    return str(caught.value)


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["jobs", "./jobs", "/var/spool/jobs", "a b/c%20d?e#f", Path("jobs"), Path("x/y")])
def test_a_path_is_a_folder(path):
    assert pqueue.parse(path).store == LocalSettings(path=Path(path))


def test_a_file_url_is_a_folder_with_settings():
    settings = pqueue.parse("file:///var/spool/my%20jobs?durability=synced&mode=0770&segment_bytes=1MiB&create=false")
    assert settings.store == LocalSettings(path=Path("/var/spool/my jobs"), mode=0o770)
    assert (settings.durability, settings.segment_bytes, settings.create) == ("synced", 1 << 20, False)


def test_a_url_s_query_is_percent_decoded_and_a_plus_stays_one():
    settings = pqueue.parse("s3://bucket/a/b?endpoint_url=http%3A%2F%2Flocalhost%3A8333&region=a+b&codecs=zlib")
    assert settings.store == S3Settings(
        bucket="bucket", prefix="a/b", endpoint_url="http://localhost:8333", region="a+b"
    )
    assert [one.name for one in settings.codecs or ()] == ["zlib"]


def test_a_mapping_holds_the_store_s_settings_flat_or_nested_or_as_a_url():
    flat = {"backend": "s3", "bucket": "b", "prefix": "p", "durability": "synced"}
    nested = {"store": {"backend": "s3", "bucket": "b", "prefix": "p"}, "durability": "synced"}
    url = {"url": "s3://b/p", "durability": "synced"}
    assert pqueue.parse(flat) == pqueue.parse(nested) == pqueue.parse(url)


def test_settings_are_taken_as_they_are():
    settings = QueueSettings.model_validate(memory())
    assert pqueue.parse(settings) is settings
    store = MemorySettings(name="x")
    assert pqueue.parse(store).store is store


def test_an_object_given_as_a_setting_arrives():
    client = object()
    assert pqueue.parse("s3://b", {"client": client}).store.client is client
    assert pqueue.parse(S3Settings(bucket="b", client=client), {"prefix": "p"}).store.client is client


def test_call_arguments_go_over_the_url_and_what_is_in_a_mapping_over_its_url():
    settings = pqueue.parse("s3://b/p?region=r&durability=synced&lease=5", {"region": "s", "durability": "written"})
    assert (settings.store.region, settings.durability, settings.lease) == ("s", "written", 5)
    settings = pqueue.parse({"url": "s3://b/p?region=r&lease=5", "lease": 6, "region": "s"}, {"prefix": "q"})
    assert (settings.store.region, settings.store.prefix, settings.lease) == ("s", "q", 6)


def test_another_backend_takes_nothing_of_the_one_before():
    settings = pqueue.parse("s3://b/p?region=r&lease=5", {"store": {"backend": "memory", "name": "x"}})
    assert (settings.store, settings.lease) == (MemorySettings(name="x"), 5)


def test_a_recorded_serializer_that_is_not_installed_is_no_typo(tmp_path):
    pqueue.open(tmp_path / "q").close()
    meta = tmp_path / "q" / "queue.json"
    meta.write_text(meta.read_text().replace('"msgpack"', '"ini"'))
    assert refusal(tmp_path / "q") == (
        "this queue was made with the serializer 'ini', which is not installed here: install the package that has it"
    )


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        (
            "memory://x",
            {"durabilty": "synced"},
            ["'durabilty'", "did you mean 'durability'?", "lease", "memory", "name"],
        ),
        ("memory://x?durabilty=synced", {}, ["'durabilty'", "did you mean 'durability'?", "lease", "appends"]),
        ("memory://x?name=y", {}, ["'name'"]),
        ("memory://x?backend=s3", {}, ["'backend'"]),
        ("memory://x?store=s3", {}, ["'store'"]),
        ("memory://x", {"durability": "safe"}, ["durability", "'buffered', 'written' or 'synced'", "'safe'"]),
        (
            "memory://x",
            {"serializer": "msgpak"},
            ["'msgpak' (did you mean 'msgpack'?)", "json, marshal, msgpack, pickle, raw"],
        ),
        ("memory://x", {"codecs": ["zlibb"]}, ["'zlibb' (did you mean 'zlib'?)"]),
        ({"backend": "locl"}, {}, ["'locl' (did you mean 'local'?)"]),
        ("memry://x", {}, ["memry:// URLs (did you mean 'memory://'?)"]),
        ({"pth": "x"}, {}, ["unknown setting 'pth' (did you mean 'path'?); known: ", "set `url`, `path` or `backend`"]),
        ({"pth": "x", "serializer": "json"}, {}, ["'pth' (did you mean 'path'?)"]),
        ({"durabilty": "synced"}, {}, ["'durabilty' (did you mean 'durability'?)"]),
        ({"ur": "s3://b"}, {}, ["'ur' (did you mean 'url'?)"]),
        ("memory://x", {"codecs": ["zip"]}, ["'zip'", "zlib"]),
        ("memory://x", {"codecs": [{"name": "zlib", "lvl": 7}]}, ["'zlib'", "lvl", "it takes level"]),
        ("memory://x", {"serializer": 5}, ["serializer: must be a name, like", '{"name": "json"}']),
        ({"path": 3}, {}, ["path: must be a path"]),
        ("s3:/bucket/x", {}, ["'s3:/bucket/x' is no URL: write s3://", "./s3:/bucket/x"]),
        ("file:/var/x", {}, ["write file://"]),
        ("local:x", {}, ["is no URL"]),
        ("memory://x", {"codecs": [{"name": "zlib", "level": 77}]}, ["'zlib'", "level", "1 to 9"]),
        ("memory://x", {"lease": 0, "prefetch": "many"}, ["lease: must be greater than 0", "prefetch: ", "'many'"]),
        ("memory://x?lease=1&lease=2", {}, ["lease", "twice"]),
        ("memory://x?lease", {}, ["lease=VALUE"]),
        ("memory://x?lease=%ff", {}, ["UTF-8"]),
        ("gopher://x", {}, ["gopher://", "file://, memory://, s3://"]),
        ("", {}, ["empty"]),
        ({}, {}, ["url", "path", "backend"]),
        ({"backend": "s4"}, {}, ["'s4'", "local, memory, s3"]),
        ({"backend": "s3"}, {}, ["bucket is missing"]),
        ({"backend": "local", "url": "s3://b"}, {}, ["'local'", "'s3'"]),
        ({"url": "b"}, {}, ["s3://BUCKET"]),
        ({"url": "s3://b", "path": "x"}, {}, ["both `url` and `path`"]),
        ({"url": "file:///x", "path": "/y"}, {}, ["both `url` and `path`"]),
        ({"url": "file:///x", "store": {"path": "/y"}}, {}, ["both `url` and `path`"]),
        ({"path": "/x", "store": {"url": "s3://b"}}, {}, ["'url'"]),
        ("memory://x", {"segment_bytes": "lots"}, ["segment_bytes: ", "8388608", '"8MiB"', "not 'lots'"]),
        ("memory://x", {"segment_bytes": "8 XB"}, ['"8MiB"', "not '8 XB'"]),
        ("memory://x", {"max_commit_bytes": -1}, ["max_commit_bytes: ", '"8MiB"', "not -1"]),
        ("memory://x", {"segment_bytes": 1.5}, ["a whole number of bytes", "not 1.5"]),
        ("memory://x", {"segment_bytes": 0}, ["greater than 0, not 0"]),
        ("memory://x?retry_delay=5s", {}, ["retry_delay: must be seconds, like 5,", '{"first": 1', "not '5s'"]),
        ("memory://x", {"retry_delay": {"base": 1}}, ["'base'", '{"first": 1, "factor": 2, "most": 60, "jitter"']),
        ("memory://x", {"retry_delay": {"first": -1}}, ["retry_delay.first: must be greater than or equal to 0"]),
        ("memory://x", {"retry_delay": '{"first": 1'}, ["starts like JSON and is none", '{"first": 1, "factor"']),
        ("memory://x", {"retry_delay": [1]}, ["retry_delay: must be seconds, like 5,"]),
        (
            "memory://x",
            {"retry_delay": {"first": 60, "most": 5}},
            ["retry_delay: 'first' (60 s) is more than 'most' (5 s)"],
        ),
        ({"store": "s3"}, {}, ["`store` must be a table"]),
        (3, {}, ["'int'"]),
    ],
)
def test_what_is_wrong_is_told_with_what_is_known(name, settings, parts):
    text = refusal(name, **settings)
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("s3://me:geheim@bucket/p", {}),
        ("memory://me:geheim@x", {}),
        ("s3://bucket?secret_access_key=geheim", {}),
        ("s3://bucket?session_token=geheim&bad=1", {}),
        ("s3://bucket?endpoint_url=http://me:geheim@host", {}),
        ("s3://bucket?endpoint_url=ftp://me:geheim@host", {}),
        ({"backend": "s3", "secret_access_key": "geheim"}, {}),
        ({"backend": "s3", "bucket": "b", "secret_access_key": "geheim", "lease": -1}, {}),
        ({"backend": "s3", "bucket": "b", "secret_access_key": ["geheim"]}, {}),
        ({"secret_access_key": "geheim"}, {}),
        ("s3://bucket", {"secret_access_key": "geheim", "lease": -1}),
        ("memory://x", {"codecs": [{"name": "zlib", "key": "geheim"}]}),
        ("memory://x", {"serializer": {"nam": "zlib", "key": "geheim"}}),
    ],
)
def test_no_error_repeats_a_secret(name, settings):
    try:
        pqueue.open(name, **settings)
    except pqueue.SettingsError:
        assert "geheim" not in traceback.format_exc()
    else:
        pytest.fail("not refused")


def test_no_repr_shows_a_secret():
    settings = pqueue.parse(
        "s3://bucket", {"secret_access_key": "geheim", "codecs": [{"name": "aes", "key": "geheim"}]}
    )
    assert settings.store.secret_access_key.get_secret_value() == "geheim"
    assert "geheim" not in f"{settings!r} {settings}"


def test_the_error_s_cause_is_pydantic_s():
    with pytest.raises(pqueue.SettingsError) as caught:
        pqueue.parse("memory://x", {"lease": 0})
    assert isinstance(caught.value.__cause__, ValidationError)


# -- what the queue was made with -------------------------------------------------------------------------------------


def test_a_silent_opener_gets_what_the_queue_was_made_with():
    store = memory()
    with pqueue.open(store, serializer="json", codecs=["zlib"], durability="synced", segment_items=3) as queue:
        queue.put({"a": [1]})
    with pqueue.open(store) as queue:
        assert queue.meta.serializer == "json"
        assert (queue.meta.codecs, queue.meta.durability, queue.meta.segment_items) == (("zlib",), "synced", 3)
        assert queue.get() == {"a": [1]}


@pytest.mark.parametrize(
    "other", [{"serializer": "json"}, {"codecs": "zlib"}, {"durability": "synced"}, {"segment_bytes": "1MiB"}]
)
def test_an_opener_that_says_otherwise_is_refused(other):
    store = memory()
    pqueue.open(store).close()
    assert "was made with" in refusal(store, **other)


def test_who_set_what_the_queue_refuses_is_said(tmp_path, monkeypatch):
    (tmp_path / "pqueue.toml").write_text('[queues.jobs]\npath = "jobs"\nserializer = "jsn"\n')
    assert "'jsn' (did you mean 'json'?)" in refusal("jobs")
    assert refusal("jobs").endswith("(from pqueue.toml)")
    assert refusal(tmp_path / "other", codecs="zlb").endswith("(from the call)")
    (tmp_path / "pqueue.toml").write_text('[queues.jobs]\npath = "jobs"\n')
    pqueue.open("jobs").close()
    assert refusal("./jobs", max_attempts=5).startswith("this queue was made with no max_attempts, not 5: ")
    assert refusal(f"file://{tmp_path}/jobs?durability=synced").endswith("(from the URL)")
    monkeypatch.setenv("PQUEUE_QUEUES__JOBS__SERIALIZER", "json")
    assert refusal("jobs").endswith("(from the environment, PQUEUE_QUEUES__JOBS__…)")


def test_who_set_what_a_copy_has_changed_is_not_said(tmp_path):
    settings = pqueue.parse({"path": tmp_path / "jobs", "maxsize": 5})
    pqueue.open(settings).close()
    assert refusal(settings.model_copy(update={"maxsize": 7})).endswith("--set maxsize=VALUE")
    assert refusal(pqueue.parse(tmp_path / "jobs", {"maxsize": 7})).endswith("(from the call)")


def test_settings_are_equal_whoever_set_them(tmp_path):
    assert pqueue.parse(tmp_path, {"lease": 3}) == pqueue.parse({"path": tmp_path, "lease": 3})
    assert pqueue.parse(tmp_path, {"lease": 3}) != pqueue.parse(tmp_path)


def test_what_is_mistyped_for_a_worker_s_own_argument_is_said(tmp_path):
    with pytest.raises(pqueue.SettingsError, match=r"unknown setting 'thread'.*did you mean 'threads'"):
        pqueue.work(tmp_path / "jobs", print, thread=3)
    assert not (tmp_path / "jobs").exists()


@pytest.mark.parametrize("name", ["marshal", "pickle"])
def test_an_unsafe_serializer_is_used_only_if_the_opener_names_it(name):
    store = memory()
    with pqueue.open(store, serializer=name) as queue:
        queue.put({1, 2})
    assert f'serializer="{name}"' in refusal(store)
    with pqueue.open(store, serializer=name) as queue:
        assert queue.get() == {1, 2}


def test_nothing_is_made_where_settings_are_wrong(tmp_path):
    refusal(tmp_path / "jobs", serializer="msgpak")
    assert not (tmp_path / "jobs").exists()


# -- configuration ----------------------------------------------------------------------------------------------------


def configure(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_bare_name_is_looked_up_in_the_working_directory_s_file(tmp_path):
    configure(
        tmp_path / "pqueue.toml",
        """
        [queues.jobs]
        path = "spool/jobs"
        durability = "synced"
        [queues.orders]
        url = "s3://shop/orders?region=eu-central-1"
        lease = 60
        [queues.mails]
        store = { backend = "memory", name = "m" }
        [queues]
        plain = "memory://plain"
        """,
    )
    jobs = pqueue.parse("jobs")
    assert (jobs.store, jobs.durability) == (LocalSettings(path=Path("spool/jobs")), "synced")
    orders = pqueue.parse("orders", {"lease": 70})
    assert orders.store == S3Settings(bucket="shop", prefix="orders", region="eu-central-1")
    assert orders.lease == 70
    assert pqueue.parse("mails").store == MemorySettings(name="m")
    assert pqueue.parse("plain").store == MemorySettings(name="plain")
    assert pqueue.parse("./jobs").store == LocalSettings(path=Path("./jobs"))
    assert pqueue.parse(Path("jobs")).store == LocalSettings(path=Path("jobs"))
    assert pqueue.parse(Path("others")).store == LocalSettings(path=Path("others"))


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("file", [True, False])
def test_a_mistyped_name_makes_no_folder_where_others_have_names(tmp_path, monkeypatch, file, create):
    if file:
        configure(tmp_path / "pqueue.toml", '[queues.jobs]\npath = "a"\n[queues.my-mails]\npath = "b"\n')
    else:
        monkeypatch.setenv("PQUEUE_QUEUES__JOBS", "a")
        monkeypatch.setenv("PQUEUE_QUEUES__MY_MAILS__PATH", "b")
    before = sorted(tmp_path.iterdir())
    text = refusal("jobss", create=create)
    place = "pqueue.toml" if file else "the environment"
    assert text == (
        f"no queue is called 'jobss' (did you mean 'jobs'?); known, from {place}: jobs, my_mails; for a folder write ./jobss"
    )
    assert "did you mean" not in refusal("spool")
    assert sorted(tmp_path.iterdir()) == before
    for one in ("./jobss", Path("jobs"), "JOBS", "my_mails"):
        pqueue.open(one).close()
    assert {path.name for path in tmp_path.iterdir()} == {"jobss", "jobs", "a", "b"} | {path.name for path in before}
    with pqueue.open("jobss") as queue:  # by now a folder
        assert queue.empty()


def test_where_no_queue_has_a_name_a_bare_one_is_a_folder(tmp_path):
    pqueue.open("jobs").close()
    configure(tmp_path / "pqueue.toml", "# nothing yet\n")
    pqueue.open("mails").close()
    assert {path.name for path in tmp_path.iterdir()} == {"jobs", "mails", "pqueue.toml"}


def test_another_file_is_named_by_a_variable_and_its_paths_start_where_it_is(tmp_path, monkeypatch):
    configure(tmp_path / "etc" / "queues.toml", '[queues.jobs]\npath = "spool"\n[queues.other]\nbackend = "none"\n')
    configure(tmp_path / "pqueue.toml", '[queues.jobs]\npath = "elsewhere"\n')
    monkeypatch.setenv("PQUEUE_CONFIG", str(tmp_path / "etc" / "queues.toml"))
    assert pqueue.parse("jobs").store == LocalSettings(path=tmp_path / "etc" / "spool")


def test_variables_go_over_the_file_key_by_key(tmp_path, monkeypatch):
    configure(tmp_path / "pqueue.toml", '[queues.my-jobs]\nbackend = "s3"\nbucket = "a"\nprefix = "p"\nlease = 5\n')
    monkeypatch.setenv("PQUEUE_QUEUES__MY_JOBS__BUCKET", "b")
    monkeypatch.setenv("PQUEUE_QUEUES__MY_JOBS__DURABILITY", "synced")
    monkeypatch.setenv("PQUEUE_QUEUES__MY_JOBS__CODECS", '["zlib"]')
    monkeypatch.setenv("PQUEUE_QUEUES__MY_JOBS__STORE__REGION", "r")
    monkeypatch.setenv("PQUEUE_QUEUES__MY_JOBS__SERIALIZER", "")
    settings = pqueue.parse("my-jobs", {"region": "s"})
    assert settings.store == S3Settings(bucket="b", prefix="p", region="s")
    assert (settings.durability, settings.lease, settings.serializer) == ("synced", 5, None)
    assert [one.name for one in settings.codecs or ()] == ["zlib"]
    told = where.origins(where.layers("my-jobs", {"region": "s"}))
    assert told["lease"].endswith("pqueue.toml")
    assert "PQUEUE_QUEUES__MY_JOBS__" in told["durability"]
    assert told["store.region"] == "the call"


@pytest.mark.parametrize("text", ["retry_delay = 5", 'retry_delay = "5"'])
def test_a_number_is_a_constant_delay(tmp_path, monkeypatch, text):
    configure(tmp_path / "pqueue.toml", f'[queues.jobs]\npath = "x"\n{text}\n')
    monkeypatch.setenv("PQUEUE_QUEUES__MAILS", "memory://m?retry_delay=5")
    assert pqueue.parse("jobs").retry_delay == pqueue.parse("mails").retry_delay == pqueue.RetryDelay.constant(5)


@pytest.mark.parametrize("file", [True, False])
def test_a_table_is_a_delay_that_grows(tmp_path, monkeypatch, file):
    if file:
        text = '[queues.jobs]\npath = "x"\nretry_delay = { first = 1, most = 60 }\n[queues.mails]\npath = "y"\n'
        configure(tmp_path / "pqueue.toml", f"{text}[queues.mails.retry_delay]\nfirst = 1\nmost = 60\n")
    else:
        monkeypatch.setenv("PQUEUE_QUEUES__JOBS__PATH", "x")
        monkeypatch.setenv("PQUEUE_QUEUES__JOBS__RETRY_DELAY", '{"first": 1, "most": 60}')
        monkeypatch.setenv("PQUEUE_QUEUES__MAILS__PATH", "y")
        monkeypatch.setenv("PQUEUE_QUEUES__MAILS__RETRY_DELAY__FIRST", "1")
        monkeypatch.setenv("PQUEUE_QUEUES__MAILS__RETRY_DELAY__MOST", "60")
    delays = [pqueue.parse(name).retry_delay for name in ("jobs", "mails")]
    assert delays == [pqueue.RetryDelay(first=1, factor=2, most=60, jitter=0.1)] * 2


def test_variables_alone_make_a_queue(monkeypatch):
    monkeypatch.setenv("PQUEUE_QUEUES__A__URL", "memory://a?lease=7")
    monkeypatch.setenv("PQUEUE_QUEUES__B", "memory://b")
    monkeypatch.setenv("PQUEUE_QUEUES__C", '{"backend": "memory", "name": "c"}')
    assert pqueue.parse("a").lease == 7
    assert [pqueue.parse(name).store for name in "abc"] == [MemorySettings(name=name) for name in "abc"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("queues = 3", "must be a table"),
        ("[queue.jobs]", "known: queues"),
        ("[queues.jobs", "can't be read"),
        ("[queues]\njobs = 3", "'jobs'"),
        ("[queues.jobs]\n[queues.JOBS]", "two queues"),
        ('[queues.jobs]\npath = "x"\nlaese = 3', "(from pqueue.toml)"),
        ('[queues.jobs]\ndurability = "x"', "no store is named"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path, text, part):
    configure(tmp_path / "pqueue.toml", text)
    assert part in refusal("jobs")


@pytest.mark.parametrize("name", ["PQUEUE_QUEUES_JOBS__PATH", "PQUEUE_QUEUE__JOBS__PATH", "pqueue_queue_jobs_path"])
def test_a_mistyped_variable_is_refused_where_queues_have_names(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert f"the variable {name} sets nothing: write PQUEUE_QUEUES__NAME__KEY" in refusal("jobs")
    assert pqueue.parse("./jobs").store.path.name == "jobs"


def test_a_mistake_of_one_queue_does_not_touch_another(tmp_path):
    configure(tmp_path / "pqueue.toml", '[queues.bad]\nbackend = "no"\n[queues.good]\nurl = "memory://g"')
    assert pqueue.parse("good").store == MemorySettings(name="g")


def test_a_file_that_is_named_and_missing_is_refused(monkeypatch):
    monkeypatch.setenv("PQUEUE_CONFIG", "nowhere.toml")
    assert "nowhere.toml" in refusal("jobs")
    assert config.config_file() == Path("nowhere.toml")


def test_an_application_nests_the_settings_in_its_own(monkeypatch):
    class Application(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")

        jobs: pqueue.QueueSettings
        mails: pqueue.QueueSettings = QueueSettings.model_validate("memory://mails")

    monkeypatch.setenv("APP_JOBS__BACKEND", "s3")
    monkeypatch.setenv("APP_JOBS__BUCKET", "b")
    monkeypatch.setenv("APP_JOBS__LEASE", "5")
    settings = Application()
    assert (settings.jobs.store, settings.jobs.lease) == (S3Settings(bucket="b"), 5)
    with pqueue.open(settings.mails) as queue:
        queue.put(1)
        assert queue.get() == 1


def test_the_schema_lists_every_backend_and_describes_every_setting():
    schema = QueueSettings.model_json_schema()
    stores = schema["properties"]["store"]["oneOf"]
    assert {store["properties"]["backend"]["const"] for store in stores} >= {"local", "memory", "s3"}
    assert all("backend" in store["required"] for store in stores)
    assert all(one.get("description") for one in schema["properties"].values())


def test_settings_survive_a_dump():
    settings = pqueue.parse("s3://b/p", {"codecs": [{"name": "zlib", "level": 3}], "serializer": "json"})
    assert pqueue.parse(json.loads(settings.model_dump_json(exclude_unset=True))) == settings


def test_importing_the_package_imports_no_backend_and_no_command_line():
    code = "import pqueue, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"boto3", "botocore", "typer", "rich", "pydantic_settings", "pqueue_local", "pqueue_s3", "pqueue_msgpack"}
    assert not heavy.intersection(modules)
