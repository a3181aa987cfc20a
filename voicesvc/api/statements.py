"""`/v1/statements`: what is owed under a grant, with proofs; as JSON, CSV or a page."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, Response

from voicesvc.api.changes import archive_of
from voicesvc.api.grants import PRINTED, newest_reached
from voicesvc.api.scopes import needs
from voicesvc.rights import period as periods
from voicesvc.rights import statement_forms as forms
from voicesvc.store import statements

router = APIRouter(tags=["grants"])


class StatementAsked(BaseModel):
    """Of which grant, for when, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grant: str = Field(max_length=80, description="id of the grant")
    period: str = Field(max_length=40, description=periods.FORMS)
    format: Literal["json", "csv", "page"] = Field("json", description="json, csv or page")


@router.get("/v1/statements", response_class=Response)
@needs("grants")
def statement(request: Request, asked: Annotated[StatementAsked, Query()]) -> Response:
    """What is owed under a grant for a period, item by item, proved by one signed head."""
    newest_reached(request, asked.grant)
    archive, period = archive_of(request), periods.read(asked.period)
    now_ms = archive.now_ms()
    found = statements.statement(archive.database, asked.grant, period, archive.key, now_ms)
    headers = {"Cache-Control": "no-store"}
    if asked.format == "page":
        policy = {"Content-Security-Policy": PRINTED}
        return HTMLResponse(forms.page(found), headers=headers | policy)
    if asked.format == "csv":
        name = f"{found.grant.id}-{period.name.replace('/', '-')}.csv"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        content = forms.table(found).encode("utf-8-sig")
        return Response(content, headers=headers | disposition, media_type="text/csv")
    return JSONResponse(forms.json(found), headers=headers)
