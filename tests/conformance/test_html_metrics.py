"""What people and monitoring see: a browsable page for a directory, numbers for Prometheus."""
import html.parser
import json
import re
import urllib.parse

import harness
import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_data(self, data):
        self.text += data


def page(target, path):
    reply = target.get(path, {"Accept": BROWSER})
    assert reply.status == 200 and reply.headers["content-type"].lower().startswith("text/html")
    assert "charset=utf-8" in reply.headers["content-type"].lower()
    parsed = Links()
    parsed.feed(reply.body.decode())
    return parsed


def test_a_browser_gets_a_page_that_leads_to_every_name(target, folder):
    names = ["a.txt", "sp ace", "per%cent", "q?x", "h#x", "quo\"te'", "<script>x", "a&amp;b",
             "日本", "co:lon"]
    for name in names:
        assert target.put(f"{folder}/d/{urllib.parse.quote(name)}", name.encode()).status == 200
    target.put(f"{folder}/d/sub/x", b"1")
    shown = page(target, f"{folder}/d/")
    assert "script" not in shown.tags
    base = f"{target.url}{folder}/d/"
    places = {urllib.parse.urljoin(base, link) for link in shown.links}
    for name in names:
        assert name in shown.text
        place = base + urllib.parse.quote(name)
        found = [p for p in places if urllib.parse.unquote(p) == urllib.parse.unquote(place)]
        assert found, (name, places)
        path = found[0].removeprefix(target.url)
        assert target.get(path).body == name.encode()
    assert base + "sub/" in places
    assert f"{target.url}{folder}/" in places, "no way up"


def test_the_page_of_the_root_has_no_private_name(target, folder):
    target.put(f"{folder}/a", b"x")
    shown = page(target, "/")
    assert folder[1:] in shown.text and ".skein" not in shown.text


def test_no_script_of_a_name_runs_in_the_page(target, folder):
    policy = target.get("/", {"Accept": BROWSER}).headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy


@pytest.mark.must
@pytest.mark.parametrize("accepted", [None, "*/*", "application/json",
                                      "application/json, text/html",
                                      "text/html;q=0, application/json", "text/html;q=0.1,*/*"])
def test_programs_get_json(target, folder, accepted):
    """`requests` sends */*."""
    target.put(f"{folder}/a", b"x")
    headers = {"Accept": accepted} if accepted else {}
    reply = target.get(f"{folder}/", headers)
    assert json.loads(reply.body) == {"a": [0, 1]}


def test_a_cache_keeps_page_and_listing_apart(target, folder):
    target.put(f"{folder}/a", b"x")
    listing = target.get(f"{folder}/")
    shown = target.get(f"{folder}/", {"Accept": BROWSER})
    for reply in (listing, shown):
        assert "accept" in [name.strip().lower() for name in reply.headers["vary"].split(",")]
    assert listing.headers["etag"] != shown.headers.get("etag")


SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


def metrics(target):
    """{(name, labels): value}, read as strictly as Prometheus' text format 0.0.4 says."""
    reply = target.get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    assert "version=0.0.4" in reply.headers["content-type"]
    text = reply.body.decode()
    assert text.endswith("\n")
    kinds, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in kinds, line
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in kinds or kinds.get(family) == "histogram", f"no TYPE: {line}"
            assert (name, labels or "") not in samples, f"twice: {line}"
            samples[name, labels or ""] = float(value)
    return samples


def total(samples, name, *labels):
    return sum(value for (found, given), value in samples.items()
               if found == name and all(label in given for label in labels))


def test_metrics_are_prometheus_text(target):
    samples = metrics(target)
    names = {name for name, _ in samples}
    for name in ("skein_requests_total", "skein_received_bytes_total", "skein_sent_bytes_total",
                 "skein_request_seconds_bucket", "skein_request_seconds_sum",
                 "skein_request_seconds_count", "skein_open_connections", "skein_queue_depth",
                 "skein_free_bytes", "skein_total_bytes"):
        assert name in names, name


def test_requests_are_counted_by_verb_and_status(target, folder):
    before = metrics(target)
    with target.connect() as connection:
        for n in range(7):
            connection.put(f"{folder}/{n}", b"x" * 1000)
        connection.put(f"{folder}/0", b"x")
        for n in range(4):
            connection.get(f"{folder}/{n}")
        connection.get(f"{folder}/none")
    asked = [before]

    def grown(name, *labels):
        return total(asked[-1], name, *labels) - total(before, name, *labels)

    def last_is_counted():
        asked.append(metrics(target))
        return grown("skein_requests_total", 'verb="GET"', 'status="404"') == 1

    # A reply is counted after its last byte is sent.
    harness.eventually(last_is_counted, 20, "the last request is counted")
    assert grown("skein_requests_total", 'verb="PUT"', 'status="200"') == 7
    assert grown("skein_requests_total", 'verb="PUT"', 'status="405"') == 1
    assert 4 <= grown("skein_requests_total", 'verb="GET"', 'status="200"') <= 4 + len(asked)
    assert grown("skein_received_bytes_total") >= 7001
    assert grown("skein_sent_bytes_total") >= 4000
    assert grown("skein_request_seconds_count") >= 13
    assert total(asked[-1], "skein_open_connections") >= 1


def test_the_latency_histogram_is_cumulative(target, folder):
    target.put(f"{folder}/a", b"x")
    samples = metrics(target)
    series = {}
    for (name, labels), value in samples.items():
        if name == "skein_request_seconds_bucket":
            bound = re.search(r'le="([^"]+)"', labels).group(1)
            rest = re.sub(r',?le="[^"]+"', "", labels).strip(",")
            series.setdefault(rest, []).append((float(bound), value))
    assert series
    for labels, buckets in series.items():
        buckets.sort()
        counts = [count for _, count in buckets]
        assert counts == sorted(counts) and buckets[-1][0] == float("inf")
        assert counts[-1] == samples["skein_request_seconds_count", labels]


def test_verbs_a_client_makes_up_do_not_make_up_series(target):
    before = len(metrics(target))
    for n in range(50):
        with target.connect() as connection:
            connection.request(f"VERB{n}", "/")
    assert len(metrics(target)) < before + 10
