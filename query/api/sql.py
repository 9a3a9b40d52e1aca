"""`POST /collections/{c}/sql`: one SELECT over the embeddings, as a stranger may send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from query.api import answers, openapi
from query.api.negotiate import ARROW, GEOJSON, JSON, choose
from query.api.questions import Body
from query.api.service import Accept, Of, Served

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.settings import Settings

router = APIRouter(tags=["SQL"])
ANSWERS = openapi.ok((JSON, answers.Table), (GEOJSON, answers.TableFeatures), (ARROW, None))
FORMS = {"json": JSON, "geojson": GEOJSON, "arrow": ARROW}
NAMES = {media: name for name, media in FORMS.items()}


class Statement(Body):
    """A statement, and the form of its answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"sql": "SELECT id, geometry, valid_fraction FROM embeddings ORDER BY valid_fraction LIMIT 10"},
                {"sql": "SELECT date_trunc('month', datetime) AS month, count(*) AS chips FROM embeddings GROUP BY 1"},
            ]
        },
    )
    sql: str = Field(min_length=1, max_length=20_000, description="One SELECT, in DuckDB's dialect.")
    format: Literal["json", "geojson", "arrow"] | None = Field(default=None, description="Instead of an Accept header.")


@router.post("/collections/{c}/sql", response_class=Response, responses=ANSWERS)
async def sql(of: Of, service: Served, accept: Accept, asked: Statement) -> Response:
    """Answer one SELECT on the view `embeddings`, within limits of time, memory and rows."""
    form = FORMS[asked.format] if asked.format else choose(accept, tuple(FORMS.values()))
    return await service.statements.run(_answer, of, service.settings, asked.sql, form)


def _answer(of: Collection, settings: Settings, statement: str, form: str) -> Response:
    from query.sql import Limits  # noqa: PLC0415 - DuckDB is needed here only

    limits = Limits(settings.sql_seconds, settings.sql_memory_mb, settings.sql_rows, settings.sql_answer_mb)
    return Response(of.session(limits).answer(statement, NAMES[form]), media_type=form)
