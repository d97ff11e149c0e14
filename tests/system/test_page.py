"""The web page in a real browser: what somebody does with it from the first visit on, and what it
looks like. Screenshots are kept in build/page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import requests
from browser import DESKTOP, PHONE, SCHEMES, Window, chromium
from cartoons import CARTOONS, cartoon, drawn_people
from playwright.sync_api import Browser, expect
from real_pictures import reference_data
from served import ROOT, Served
from waiting import eventually

from facematch.client import Client
from facematch.errors import NotFound
from facematch.faces import image_hash

SHOTS, REAL_SHOTS = ROOT / "build" / "page", ROOT / "build" / "page-real"
PEOPLE, PICTURES = 4, 5
SOME = re.compile("match")

Files = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def drawn() -> tuple[list[Files], bytes]:
    """Pictures of four people, five of each, and one more of the first with the second."""
    faces = drawn_people(PEOPLE, PICTURES + 1)
    pictures = [
        [
            (f"{name}-{number}.png", cartoon([who], faces[who, number][None], 100 * who + number))
            for number in range(PICTURES)
        ]
        for who, name in enumerate(("ada", "bob", "cleo", "dan"))
    ]
    return pictures, cartoon([0, 1], faces[:2, PICTURES], 999)


def real() -> tuple[list[Files], bytes]:
    """The same of real people."""
    people = (reference_data() / "lfw").iterdir()
    folders = sorted(people, key=lambda folder: (-len(list(folder.iterdir())), folder.name))
    files = [sorted(folder.iterdir()) for folder in folders[:PEOPLE]]
    pictures = [[(file.name, file.read_bytes()) for file in some[:PICTURES]] for some in files]
    return pictures, files[0][PICTURES].read_bytes()


def serve(folder: Path, **settings: str) -> Iterator[Served]:
    served = Served(folder / "data", folder / "console.txt", "--port", "0", **settings)
    yield served
    served.process.terminate()
    served.end()


@pytest.fixture(scope="module")
def cartoons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(
        tmp_path_factory.mktemp("page"), encoder=CARTOONS, keep_thumbnails="true", sweep_seconds="1"
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("real"))


def test_the_page_from_the_first_visit_to_the_last_picture(
    browser: Browser, cartoons: Served
) -> None:
    url = cartoons.url()
    pictures, probe = drawn()
    journey(browser, url, pictures, probe)
    another_collection(browser, url, pictures[0][:2])
    looks_right(browser, url, "drawn")


@pytest.mark.long
def test_the_page_with_real_pictures(browser: Browser, photographs: Served) -> None:
    url = photographs.url()
    journey(browser, url, *real(), REAL_SHOTS)


def journey(
    browser: Browser, url: str, pictures: Sequence[Files], probe: bytes, shots: Path = SHOTS
) -> None:
    """First visit, drop pictures, open one, move the slider, compare, name, merge, split, fail,
    search, erase."""
    window = Window(browser, DESKTOP)
    page = window.page
    window.visit(url)
    expect(page.locator("#summary")).to_contain_text("None yet")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()

    everything = [file for files in pictures for file in files]
    window.drop(everything)
    done = f"{len(everything)} of {len(everything)} pictures looked at."
    expect(page.locator("#summary")).to_have_text(done, timeout=120_000)
    expect(page.locator("#pictures .card .state", has_text=SOME)).to_have_count(len(everything))

    window.drop([("notes.txt", b"no picture")])
    expect(page.locator("#pictures .card .state").first).to_contain_text("Not processed")

    with Client(url) as client:
        several(window, client, pictures, shots)
        people(window, client)
    searching(window, url, probe, shots)
    erasing(window, url)
    status(window, url)
    assert window.errors == []
    window.close()


def several(window: Window, client: Client, pictures: Sequence[Files], shots: Path) -> None:
    """An image, its slider, and a comparison."""
    page = window.page
    page.get_by_role("link", name=pictures[0][0][0]).click()
    expect(page.locator("h1")).to_have_text(pictures[0][0][0])
    expect(page.locator("#canvas img")).to_be_visible()
    expect(page.locator("#canvas .box")).to_have_count(1)
    image = page.url.rpartition("/")[2]
    kept = [match.hash for match in client.all_matches(image)]
    shown = page.locator("#matches .card")
    expect(shown).to_have_count(len(kept))
    links = page.locator("#matches a.whole").evaluate_all("all => all.map((one) => one.pathname)")
    assert links == [f"/images/{one}" for one in kept]

    slider = page.locator("#sure")
    slider.focus()
    page.keyboard.press("Home")
    least = re.compile("1 in 10,000,000")
    expect(page.locator("#sure-text")).to_have_text(least)
    sure = len(client.matches(image, max_false_matches=1e-7).matches)
    assert sure < len(kept)
    expect(shown).to_have_count(sure)
    page.keyboard.press("End")
    expect(shown).to_have_count(len(kept))

    page.get_by_role("button", name="Compare with").first.click()
    dialog = page.locator("#compare")
    expect(dialog).to_be_visible()
    expect(dialog.locator("img.cropped")).to_have_count(2)
    expect(page.locator("#compare-text")).to_contain_text("by a chance of")
    first = page.locator("#compare-title").inner_text()
    assert window.violations() == []
    window.shoot(shots, "compare")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#compare-title")).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def people(window: Window, client: Client) -> None:
    """Naming, merging and splitting."""
    page = window.page
    eventually(lambda: client.people.page().ungrouped == 0, "all are grouped")
    page.get_by_role("link", name="People").click()
    cards = page.locator("#everybody .card")
    expect(cards).to_have_count(PEOPLE, timeout=60_000)
    expect(page.locator("#everybody img.cropped")).to_have_count(PEOPLE)
    cards.first.locator("a").click()
    page.get_by_label("Name", exact=True).fill("Ada Drawn")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Ada Drawn")
    named = page.url.rpartition("/")[2]
    assert client.people.person(named).name == "Ada Drawn"

    page.get_by_role("link", name="All people").click()
    boxes = page.locator("#everybody .choose input")
    expect(boxes).to_have_count(PEOPLE)
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(page.locator("#chosen")).to_have_text("2 people chosen")
    page.get_by_role("button", name="Merge into one").click()
    page.get_by_role("button", name="Merge them").click()
    expect(cards).to_have_count(PEOPLE - 1)
    assert client.people.person(named).count == 2 * PICTURES

    page.get_by_role("link", name="Ada Drawn").click()
    faces = page.locator("#faces .choose input")
    expect(faces).to_have_count(2 * PICTURES)
    labels = faces.evaluate_all("all => all.map((one) => one.ariaLabel)")
    own = labels[0].rstrip("0123456789.jpng")  # the name without the number of the picture
    for number, label in enumerate(labels):
        faces.nth(number).set_checked(label.startswith(own))
    page.get_by_role("button", name="one other person").click()
    expect(faces).to_have_count(PICTURES)
    page.go_back()
    expect(cards).to_have_count(PEOPLE)


def searching(window: Window, url: str, probe: bytes, shots: Path) -> None:
    """Search by a picture, where the service has it."""
    if "/v1/search" not in requests.get(f"{url}/openapi.json", timeout=30).json()["paths"]:
        expect(window.page.get_by_role("link", name="Search")).to_have_count(0)
        return
    page = window.page
    page.get_by_role("link", name="Search").click()
    page.wait_for_selector("main[data-view=search][data-ready]")
    window.drop([("probe", probe)])
    expect(page.locator("#matches .card").first).to_be_visible()
    expect(page.locator("#canvas .box").first).to_be_visible()
    assert window.violations() == []
    window.shoot(shots, "search")


def erasing(window: Window, url: str) -> None:
    """An image is gone once it is erased, and not before somebody has said yes."""
    page = window.page
    page.get_by_role("link", name="Add", exact=True).click()
    page.locator("#pictures a").last.click()
    erase = page.get_by_role("button", name="Erase this image")
    expect(erase).to_be_visible()
    image = page.url.rpartition("/")[2]
    erase.click()
    page.get_by_role("button", name="Cancel").click()
    assert requests.get(f"{url}/v1/images/{image}", timeout=30).status_code == 200
    erase.click()
    assert window.violations() == []
    page.get_by_role("button", name="Erase it").click()
    expect(page.locator("#instead-title")).to_have_text("This image was erased")
    assert requests.get(f"{url}/v1/images/{image}", timeout=30).status_code == 410
    assert requests.get(f"{url}/v1/images/{image}/thumbnail", timeout=30).status_code == 404


def status(window: Window, url: str) -> None:
    """What failed is there with its reason, and how to try it again."""
    page = window.page
    requests.post(f"{url}/scan/url", json={"url": "http://10.0.0.1/a.png"}, timeout=30)
    page.get_by_role("link", name="Status").click()
    expect(page.locator("#ready")).to_have_text("All parts are up")
    rows = page.locator("#failed tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("(not_an_image)")
    expect(rows.last).to_contain_text("Add it again")
    expect(rows.last.get_by_role("button")).to_have_count(0)
    expect(rows.first).to_contain_text("(address_not_allowed)")
    rows.first.get_by_role("button").click()
    expect(page.locator(".toast.good").last).to_have_text("It is tried again.")
    expect(page.locator("#index")).to_contain_text("At position")


def another_collection(browser: Browser, url: str, files: Files) -> None:
    """What is added in another collection is there and matches there, and nowhere else."""
    with Client(url) as client, Client(url, collection="holiday") as inside:
        client.collections.create("holiday")
        window = Window(browser, DESKTOP)
        page = window.page
        window.visit(url)
        with page.expect_navigation():
            page.get_by_label("Collection").select_option("holiday")
        page.wait_for_selector("main[data-ready]")
        window.drop(files)
        done = page.locator("#pictures .card .state", has_text="1 match")
        expect(done).to_have_count(len(files), timeout=60_000)
        page.locator("#pictures a").first.click()
        expect(page.locator("#matches .card")).to_have_count(len(files) - 1)
        assert page.title() == f"{files[-1][0]} · holiday · facematch"
        assert "/c/holiday/images/" in page.url
        page.get_by_role("button", name="Erase this image").click()
        page.get_by_role("button", name="Erase it").click()
        expect(page.locator("#instead-title")).to_have_text("This image was erased")
        image = page.url.rpartition("/")[2]
        with pytest.raises(NotFound, match="erased"):
            inside.image(image)
        assert client.image(image).names == (files[-1][0],)
        inside.delete(image_hash(files[0][1]))
        assert window.errors == []
        window.close()


def looks_right(browser: Browser, url: str, name: str) -> None:
    """Each view, on a phone and a desktop, in light and dark: nothing sticks out, and axe-core has
    nothing against it."""
    with Client(url) as client:
        person = client.people.page().people[0].id
        image = next(iter(client.people.faces(person))).image
    views = {  # where it is, and what is there at last
        "add": ("/", "#drop"),
        "image": (f"/images/{image}", "#matches .card"),
        "gone": (f"/images/{'0' * 64}", "#instead-title"),
        "people": ("/people", "#everybody .card"),
        "person": (f"/people/{person}", "#faces .card"),
        "status": ("/status", "#failed tbody tr"),
        "empty": ("/c/holiday/people", "#none"),
        "nowhere": ("/c/nowhere/", "main .others a"),
    }
    for scheme in SCHEMES:
        for size in (PHONE, DESKTOP):
            window = Window(browser, size, scheme)
            for view, (path, last) in views.items():
                window.visit(url + path)
                expect(window.page.locator(last).last).to_be_visible()
                window.fill()
                window.shoot(SHOTS, f"{name}-{view}-{size[0]}-{scheme}")
                assert window.violations() == [], view
                assert window.overflow() <= 0, view
            assert window.errors == []
            window.close()
