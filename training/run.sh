#!/bin/sh
# Starts training with an allocator that keeps its pages: fresh pages cost more than the arithmetic here.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-python}" "$(dirname "$0")/train.py" "$@"
