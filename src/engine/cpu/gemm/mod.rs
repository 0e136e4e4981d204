//! Products of packed operands: a microkernel for each instruction set, and the linear layers that are made of them.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod linear;
pub(crate) mod microkernel;
pub(crate) mod operand;
pub(crate) mod panels;
pub(crate) mod peak;
mod plain;
mod scales;
mod simd;
pub(crate) mod transpose;
pub(crate) mod weight;

#[cfg(test)]
mod product_tests;
