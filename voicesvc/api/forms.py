"""A form with one file in it, as curl and browsers send it: only the file's bytes come out.

Nothing of a form is kept but the headers of the part that is being read, which are bounded.
"""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from voicesvc.errors import InvalidRequest

FORM = "multipart/form-data"
FIELD = "file"
VALID = f"{FORM} with one file named {FIELD}, as of curl -F {FIELD}=@take.wav"
MOST_AROUND_BYTES = 1 << 16  # of a form that are not its file's


class OneFile:
    """Takes the body of a form as it comes, and gives the bytes of its file.

    Args:
        content_type: of the request, with the boundary between the form's parts.

    Raises:
        InvalidRequest: it has no boundary, or none that may be one.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        wrong = InvalidRequest(
            "the form has no boundary", where="Content-Type", valid=f"{FORM}; boundary=…"
        )
        if not boundary:
            raise wrong
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as e:
            raise wrong from e
        self._name, self._value = b"", b""  # of the header that is being read
        self._disposition = ""
        self._out: list[bytes] = []
        self._around_bytes = 0
        self._found = self._ended = False

    def feed(self, body: bytes) -> bytes:
        """What of the file is in more of the body.

        Raises:
            InvalidRequest: it is no such form, or there is too much around the file.
        """
        self._out.clear()
        try:
            self._parser.write(body)
        except FormParserError as e:
            raise InvalidRequest("the form cannot be read", where="body", valid=VALID) from e
        file = b"".join(self._out)
        self._around_bytes += len(body) - len(file)
        if self._around_bytes > MOST_AROUND_BYTES:
            raise InvalidRequest(
                f"over {MOST_AROUND_BYTES} bytes of the form are not its file",
                where="body",
                valid=VALID,
            )
        return file

    def flush(self) -> None:
        """That the form was whole.

        Raises:
            InvalidRequest: it was not, or it had no file.
        """
        if not self._ended:
            raise InvalidRequest("the form is cut off", where="body", valid=VALID)
        if not self._found:
            raise InvalidRequest("there is no file in the form", where=FIELD, valid=VALID)

    def _begin(self) -> None:
        self._disposition = ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD:
            raise InvalidRequest(f"unknown field {name!r}", where=name or "body", valid=[FIELD])
        if b"filename" not in options:
            raise InvalidRequest(f"{FIELD} is a text, not a file", where=FIELD, valid=VALID)
        if self._found:
            raise InvalidRequest("two files in the form", where=FIELD, valid=VALID)
        self._found = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._out.append(data[start:end])

    def _end(self) -> None:
        self._ended = True
