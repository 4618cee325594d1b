"""Costs as one row for each run, asset and stage, however many commits they were written with."""

COSTS = """
SELECT asset_id, run_id, version, any_value(uri) AS uri, stage,
       make_timestamp(epoch_us(min(started_at))) AS started_at,
       make_timestamp(epoch_us(max(ended_at))) AS ended_at,
       sum(seconds) AS seconds, sum(cpu_seconds) AS cpu_seconds, sum(gpu_seconds) AS gpu_seconds,
       sum(items)::BIGINT AS items, sum(bytes)::BIGINT AS bytes,
       sum(fetched_bytes)::BIGINT AS fetched_bytes,
       sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
       sum(money) AS money, sum(batched)::BIGINT AS batched, sum(places) AS places,
       sum(length) AS length, sum(padded) AS padded
FROM {source} GROUP BY asset_id, run_id, version, stage"""
"""The view `costs`, over {source}."""
