"""The framework's ceiling: FastAPI validates the same body and does nothing; uvicorn as ours runs it."""

import gc
import sys

import uvicorn
from fastapi import FastAPI, Response

from services.orders.intake.wire import PlaceOrder

app = FastAPI(openapi_url=None)
ANSWER = b'{"order_id":"01930000-0000-7000-8000-000000000001","status":"placed"}'


@app.post("/v1/orders")
async def place(body: PlaceOrder) -> Response:
    return Response(ANSWER, status_code=202, media_type="application/json")


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    uvicorn.run(
        app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="warning"
    )
