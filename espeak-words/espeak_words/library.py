"""libespeak-ng through ctypes: one clause of text -> its IPA. Knows nothing about words.

SPDX-License-Identifier: GPL-3.0-or-later
"""

import ctypes
import re
import unicodedata
from collections.abc import Iterator

import espeakng_loader

_AUDIO_OUTPUT_RETRIEVAL = 1  # no sound device is opened
_DONT_EXIT = 0x8000  # a broken install raises here instead of ending the process in C
_CHARS_UTF8 = 1
_PHONEMES_IPA = 0x02
_LANGUAGE_SWITCH = re.compile(r"\([^)]*\)")  # "(fr)" around a word that espeak takes for French


class _VoiceRecord(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),  # in answers, a priority byte comes before the language
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class UnknownLanguage(ValueError):
    """libespeak-ng has no such voice; `valid` lists the ones it has."""

    def __init__(self, language: str, valid: list[str]) -> None:
        super().__init__(f"espeak-ng has no language {language!r}")
        self.valid = valid


class Espeak:
    """The library keeps its state in globals: one instance a process, one thread at a time."""

    def __init__(self) -> None:
        lib = ctypes.CDLL(espeakng_loader.get_library_path())
        lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        lib.espeak_TextToPhonemes.argtypes = (
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        )
        lib.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
        lib.espeak_SetVoiceByProperties.argtypes = (ctypes.POINTER(_VoiceRecord),)
        lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceRecord))
        lib.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        data = espeakng_loader.get_data_path().encode()
        if lib.espeak_Initialize(_AUDIO_OUTPUT_RETRIEVAL, 0, data, _DONT_EXIT) < 0:
            raise RuntimeError(f"libespeak-ng did not start with its data in {data!r}")
        self._lib = lib
        self._language = ""

    def languages(self) -> list[str]:
        """Every language espeak-ng can speak, sorted."""
        records = self._lib.espeak_ListVoices(None)
        found = set()
        i = 0
        while records[i]:
            found.add(records[i].contents.languages[1:].decode())
            i += 1
        return sorted(found)

    def set_language(self, language: str) -> None:
        """Speak `language` ("en-us") from now on. Raises UnknownLanguage."""
        if language == self._language:
            return
        if self._lib.espeak_SetVoiceByName(language.encode()) != 0:
            # "en-gb" and "fr-fr" are no voice's name, only the language of "en" and "fr".
            valid = self.languages()
            wanted = _VoiceRecord(languages=language.encode())
            known = language in valid
            if not known or self._lib.espeak_SetVoiceByProperties(ctypes.byref(wanted)) != 0:
                raise UnknownLanguage(language, valid)
        self._language = language

    def phonemes(self, text: str) -> str:
        """IPA as NFD code points, espeak's words apart by one space."""
        buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode())
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        said = " ".join(self._clauses(rest))
        return " ".join(unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", said)).split())

    def _clauses(self, rest: ctypes.c_void_p) -> Iterator[str]:
        while rest:  # espeak moves it past each clause, and to NULL at the end
            clause = self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA)
            yield (clause or b"").decode()
