"""Seventeen languages of one XTTS voice, three of them read in Latin letters first."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_unidic
from conftest import Service, served
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from xtts_files import checkpoint, vocabulary

from voicesvc import packs, reading, script
from voicesvc.config import Settings
from voicesvc.engines import gpt, xtts
from voicesvc.engines.convert import import_coqui
from voicesvc.errors import InvalidRequest, PackRefused
from voicesvc.line import Line
from voicesvc.manifest import XTTS_LANGUAGES
from voicesvc.packs import Pack
from voicesvc.phonemes import Romanized, Word, lacking, romanized
from voicesvc.plan import Variability
from voicesvc.studio import Studio
from voicesvc.typed import Typed

LINES = {
    "zh-cn": "我们守住港口，直到早上。重庆银行OK吗？3个人！",
    "ja": "港を守るよ。彼は待っていた、港は3。",
    "ko": "우리는 항구를 지킨다, 아침까지. 3명, 안녕하세요?",
}
PARTED = {
    "zh-cn": "我们 守 住 港口 直 到 早上 重庆 银行 OK 吗 3 个人",
    "ja": "港 を 守る よ 彼 は 待って いた 港 は 3",
    "ko": "우리는 항구를 지킨다 아침까지 3명 안녕하세요",
}
TAGS = [f"[{name}]" for name in XTTS_LANGUAGES if name != "en"]
OTHER = [*"0123456789-;:", *"абвгдежзийклмнопрстуфхцчшщъыьэюя"]


@pytest.fixture(scope="module", autouse=True)
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Japanese is parted and read by the real programs, with a dictionary of a few words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(small_unidic.build(tmp_path_factory.mktemp("unidic"))))
        romanized._cutlet.cache_clear()
        yield
    romanized._cutlet.cache_clear()


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("languages")
    checkpoint(folder / "in", more=[*TAGS, *OTHER])
    return import_coqui(folder / "in", "mia", folder / "models" / "mia", language="en-us")


@pytest.fixture(scope="module")
def voice(pack: Pack) -> Iterator[xtts.Xtts]:
    engine = xtts.load(pack, "cpu", "fp32")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def service(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings.read(
        {},
        models_dir=pack.folder.parent,
        data_dir=tmp_path_factory.mktemp("data"),
        device="cpu",
        precision="fp32",
        acknowledged_licences="CPML",
    )
    studio = Studio(settings)
    with served(studio) as running:
        yield running
    studio.close()


def read(language: str, text: str) -> tuple[Word, ...]:
    clean = script.clean(text, script.scripts_of(language))
    assert clean.skipped == ()
    return Romanized(language).words(clean.text, 0)


def letters(words: tuple[Word, ...]) -> str:
    return "".join("".join((*w.phones, *w.after)) for w in words)


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LINES)
def test_words_cover_the_text_and_are_where_it_has_them(language: str) -> None:
    text = LINES[language]
    words = read(language, text)
    assert [w.text for w in words] == PARTED[language].split()
    assert all(text[w.start : w.end] == w.text for w in words)
    assert all(one.end <= other.start for one, other in pairwise(words))
    covered = {i for w in words for i in range(w.start, w.end)}
    assert {i for i, c in enumerate(text) if c.isalnum()} <= covered


@pytest.mark.parametrize("language", LINES)
def test_the_model_is_given_what_coquis_own_tokenizer_gives_it(
    language: str, pack: Pack, voice: xtts.Xtts
) -> None:
    coqui = VoiceBpeTokenizer(pack.folder / pack.xtts_network.vocabulary.file)
    ours = voice._tokens(letters(read(language, LINES[language])), language)
    assert ours == coqui.encode(LINES[language], language)
    assert coqui.tokenizer.token_to_id("[UNK]") not in ours


def test_figures_are_read_as_chinese_has_them() -> None:
    said = {
        "10": "十",
        "110": "一百一十",
        "2040": "二千零四十",
        "100000": "十万",
        "3.14": "三点一四",
    }
    for figures, words in said.items():
        assert letters(read("zh", figures)) == letters(read("zh", words))
    assert letters(read("zh", "2026年")) == letters(read("zh", "二零二六年"))
    assert letters(read("zh", "14%")) == letters(read("zh", "百分之十四"))
    assert letters(read("ko", "3 %")).startswith("sam peosenteu")


def test_what_cannot_be_read_is_told_and_not_left_out(voice: xtts.Xtts) -> None:
    plan = voice.plan(read("ja", "鰻を。"), 1, Variability(language="ja"))
    assert plan.dropped == ("鰻",)


# -- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("zh", "他来了。你呢？走吧！", ["他来了.", "你呢?", "走吧!"]),
        ("zh", "“好。”他走了。", ['"好."', "他走了."]),
        ("ja", "「行くよ。」と言った。「待って。」", ["「行くよ.」と言った.", "「待って.」"]),
        ("ja", "港です。「はい。」彼は待つ。", ["港です.", "「はい.」", "彼は待つ."]),
        ("ko", "안녕하세요. 가자!", ["안녕하세요.", "가자!"]),
        ("hi", "नमस्ते। आप कैसे हैं?", ["नमस्ते.", "आप कैसे हैं?"]),
    ],
)
def test_sentences_end_without_spaces(language: str, text: str, sentences: list[str]) -> None:
    clean = script.clean(text, script.scripts_of(language))
    assert clean.skipped == ()
    assert [s.text for s in script.sentences(clean.text)] == sentences


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    text = script.clean("我们守住港口，" * 80, script.scripts_of("zh")).text
    first, *_ = script.sentences(text)
    assert script.CUT // 2 < len(first.text) <= script.CUT
    assert first.text.endswith(",")


def test_words_keep_their_vowel_signs() -> None:
    assert [m.group() for m in script.written_words("नमस्ते दुनिया")] == ["नमस्ते", "दुनिया"]


def test_typed_text_is_spoken_once_what_follows_is_seen() -> None:
    typed = Typed(1000)
    typed.feed("「行くよ。」")
    assert typed.next(hungry=False) is None  # と may follow
    typed.feed("と言った。港")
    piece = typed.next(hungry=False)
    assert piece is not None
    assert piece.text == "「行くよ。」と言った。"


# -- the voice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LINES)
def test_it_says_all_of_it_and_syllables_last_alike(
    language: str, voice: xtts.Xtts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sayings: list[gpt.Saying] = []
    begin = voice.batch.gpt.begin
    noted = lambda saying: sayings.append(saying) or begin(saying)  # noqa: E731
    monkeypatch.setattr(voice.batch.gpt, "begin", noted)
    words = read(language, LINES[language])
    plan = voice.plan(words, 7, Variability(language=language))
    pcm = np.concatenate(list(voice.stream(plan)))
    assert len(pcm) == plan.samples > 4000
    assert [w.text for w in plan.words] == [w.text for w in words]
    assert plan.dropped == ()
    tokens = voice._tokens("", language)
    assert sayings[0].text[: len(tokens)] == tokens != voice._tokens("", "en")  # its tag
    if language == "zh-cn":
        one, two = (plan.words[i] for i in (0, 1))  # 我们 and 守
        lasts = [sum(u.frames_model for u in w.units if u.kind != "pause") for w in (one, two)]
        assert lasts[0] == pytest.approx(2 * lasts[1], abs=2)


def test_parts_are_as_long_as_coqui_lets_them_be(voice: xtts.Xtts) -> None:
    text = "我们守住港口，" * 20
    laid, _ = voice._lay_out(read("zh", text))
    parts = voice._parts(laid, "zh")
    assert [w for part in parts for w in part] == laid
    assert len(parts) == 4  # of 140 characters, any two within 82
    for one, other in pairwise(parts):
        written = sum(w.end - w.start + 1 for w in (*one, *other) if xtts.text_of([w])[-1] == ",")
        assert written < 82
        assert xtts.text_of(one).endswith(",")


# -- the service ---------------------------------------------------------------------------------


def spoken(service: Service, text: str, **fields: Any) -> Any:
    return service.speak(text, actor="mia", seed=7, format="pcm_f32le", **fields)


def test_actors_tell_their_languages(service: Service) -> None:
    listed = service.http.get("/v1/actors").json()["actors"][0]
    one = service.http.get("/v1/actors/mia").json()
    for told in (listed, one):
        assert told["language"] == told["languages"][0] == "en-us"
        assert len(told["languages"]) == len(XTTS_LANGUAGES)
        assert {"ja", "ko", "zh-cn"} <= set(told["languages"])
        assert told["languages_lacking"] == {}


def test_a_language_that_is_not_listed_is_refused(service: Service) -> None:
    refused = spoken(service, "Hej.", language="sv")
    assert refused.status_code == 422
    assert refused.json()["where"] == "language"
    assert "zh-cn" in refused.json()["valid"]


def test_what_is_not_installed_is_said_by_name(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(romanized, "find_spec", lambda _: None)
    told = service.http.get("/v1/actors/mia").json()
    assert {"ja", "ko", "zh-cn"}.isdisjoint(told["languages"])
    assert "pypinyin" in told["languages_lacking"]["zh-cn"]
    assert "unidic-lite" in told["languages_lacking"]["ja"]
    refused = spoken(service, LINES["zh-cn"], language="zh-cn")
    assert refused.status_code == 422
    assert "extra [cjk]" in refused.json()["detail"]
    assert "zh-cn" not in refused.json()["valid"]
    with pytest.raises(PackRefused, match="extra \\[cjk\\]"):
        Romanized("ja")


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [("zh-cn", "港口好吗？", "港口 好 吗"), ("ru", "Да, гавань.", "Да гавань")],
)
def test_a_line_in_a_language_is_kept_and_made_again(
    service: Service, language: str, text: str, words: str
) -> None:
    archive = service.studio.archive
    assert archive is not None
    answer = spoken(service, text, language=language)
    assert answer.status_code == 200, answer.text
    assert "Voicesvc-Skipped" not in answer.headers
    take = answer.headers["Voicesvc-Take"]
    assert [w["text"] for w in service.timings(answer)["words"]] == words.split()
    kept = service.http.get(f"/v1/takes/{take}/plan").json()
    assert kept["language"] == language
    again = service.http.post("/v1/speech", json={"plan": kept, "format": "pcm_f32le"})
    assert again.content == answer.content
    for made in (take, again.headers["Voicesvc-Take"]):
        assert archive.take(made).facts["asked"]["language"] == language


def test_a_grant_counts_for_the_language_that_is_spoken(service: Service) -> None:
    rendering = service.studio.open(Line(actor="mia", text="Да.", language="ru", seed=1))
    rendering.close()
    assert rendering.take.permit is not None
    assert rendering.take.permit.use.language == "ru"
    versions = service.studio.door.register.grants[rendering.take.permit.grant]
    languages = versions[-1].grant.use.languages
    assert languages[0] == "en"
    assert {"ja", "ru", "zh"} <= set(languages)


def test_a_voice_speaks_what_its_vocabulary_has_a_token_for(pack: Pack, tmp_path: Path) -> None:
    vocabulary(tmp_path / "vocab.json")
    words = packs.Weights(file="vocab.json", sha256=packs.sha256(tmp_path / "vocab.json"))
    network = pack.xtts_network.model_copy(update={"vocabulary": words})
    other = pack.model_copy(update={"folder": tmp_path, "xtts": network})
    told = reading.languages(other)
    assert told["languages"] == ["en-us"]
    assert told["languages_lacking"]["de"] == "the model's vocabulary has no [de]"
    assert pack.speaking("en-GB").language == "en-gb"


def test_a_voice_of_one_language_speaks_no_other() -> None:
    joe = packs.read(Path(__file__).parents[1] / "models" / "joe")
    assert joe.speaking("en") is joe
    with pytest.raises(InvalidRequest, match="'de'") as refused:
        joe.speaking("de")
    assert refused.value.valid == ["en-us"]
    assert lacking("de") is None
