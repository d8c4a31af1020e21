//! Servers, faults and workloads for the black-box tests.
