"""Shards of frames: written whole or not at all, read by mapping their pages in place.

A Parquet shard holds a clip per row: `id`, `caption`, and `frames` as one non-null `fixed_size_binary(T*H*W*3)`
column, uncompressed and in one page per row group, so that the bytes of a group lie in the file as `[N,T,H,W,3]` and
any Parquet tool can still read them. A group has some 4 MiB of frames and the least and greatest of its ids, so that a
look-up by id reads no other group. An NPZ shard holds the arrays `id`, `caption` and `frames`, likewise uncompressed.
`index.json` is written last: a folder without it is not whole. An id may stand in several rows: windows of one video
share theirs.
"""

from pipeline.shards.folder import INDEX, Shard, ShardReader, write_index, write_shard

__all__ = ["INDEX", "Shard", "ShardReader", "write_index", "write_shard"]
