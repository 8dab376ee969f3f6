package org.moe4j.engine.machine;

import org.moe4j.engine.machine.Operand.Address;
import org.moe4j.engine.machine.Operand.Zmm;

/**
 * Writes the instructions that kernels need, each method named as in Intel's manual, destination
 * first. Vectors have 512 bits, lanes 32.
 */
final class Assembler extends CodeBuffer {
  private static final int HALF = 32;
  private static final int QUARTER = 16;

  void mov(Gpr to, Gpr from) {
    registers(0x89, from, to);
  }

  void mov(Gpr to, Address from) {
    registers(0x8b, to, from);
  }

  /** 32 bits; the upper 32 become 0. */
  void mov(Gpr to, int value) {
    if (to.number() >= 8) {
      put(0x41);
    }
    put(0xb8 | (to.number() & 7));
    put32(value);
  }

  void add(Gpr to, int value) {
    boolean small = value == (byte) value;
    put(0x48 | to.number() >> 3, small ? 0x83 : 0x81, 0xc0 | (to.number() & 7));
    if (small) {
      put(value);
    } else {
      put32(value);
    }
  }

  void add(Gpr to, Gpr from) {
    registers(0x01, from, to);
  }

  void cmp(Gpr left, Gpr right) {
    registers(0x39, right, left);
  }

  /** Back to {@code target}, a former {@link #here}, if the last comparison was below. */
  void jb(int target) {
    put(0x0f, 0x82);
    put32(target - (here() + 4));
  }

  void push(Gpr r) {
    stack(0x50, r);
  }

  void pop(Gpr r) {
    stack(0x58, r);
  }

  private void stack(int opcode, Gpr r) {
    if (r.number() >= 8) {
      put(0x41);
    }
    put(opcode | (r.number() & 7));
  }

  void ret() {
    put(0xc3);
  }

  void vzeroupper() {
    put(0xc5, 0xf8, 0x77);
  }

  /** Asks for a line of memory that will be read soon, into the second cache. */
  void prefetcht1(Address line) {
    put(0x40 | line.index().number() >> 3 << 1 | line.base().number() >> 3, 0x0f, 0x18);
    memory(2, line, 1);
  }

  void vmovups(Zmm to, Address from) {
    evex(MAP_0F, PREFIX_NONE, 0x10, to.number(), 0, from);
  }

  void vmovups(Address to, Zmm from) {
    evex(MAP_0F, PREFIX_NONE, 0x11, from.number(), 0, to);
  }

  /** The first float alone. */
  void vmovss(Address to, Zmm from) {
    evex(MAP_0F, PREFIX_F3, 0x11, from.number(), 0, to, 4);
  }

  /** The low bytes of 16 numbers. */
  void vpmovdb(Address to, Zmm from) {
    evex(MAP_0F38, PREFIX_F3, 0x31, from.number(), 0, to, QUARTER);
  }

  /** The low halves of 16 numbers. */
  void vpmovdw(Address to, Zmm from) {
    evex(MAP_0F38, PREFIX_F3, 0x33, from.number(), 0, to, HALF);
  }

  /** 16 numbers of 32 bits, {@code places} bytes behind {@code base + displacement}; sets k1. */
  void vpgatherdd(Zmm to, Gpr base, Zmm places, int displacement) {
    put(0xc5, 0xf4, 0x46, 0xc9); // kxnorw k1, k1, k1: all lanes
    gather(to.number(), base, places.number(), displacement);
  }

  void vpbroadcastd(Zmm to, Address from) {
    evex(MAP_0F38, PREFIX_66, 0x58, to.number(), 0, from, 4);
  }

  void vpbroadcastd(Zmm to, Gpr from) {
    evex(MAP_0F38, PREFIX_66, 0x7c, to.number(), 0, Operand.zmm(from.number()));
  }

  /** 16 unsigned bytes to 32 bits. */
  void vpmovzxbd(Zmm to, Address from) {
    evex(MAP_0F38, PREFIX_66, 0x31, to.number(), 0, from, QUARTER);
  }

  /** 16 signed bytes to 32 bits. */
  void vpmovsxbd(Zmm to, Address from) {
    evex(MAP_0F38, PREFIX_66, 0x21, to.number(), 0, from, QUARTER);
  }

  /** 16 half-precision numbers to floats. */
  void vcvtph2ps(Zmm to, Operand from) {
    evex(MAP_0F38, PREFIX_66, 0x13, to.number(), 0, from, HALF);
  }

  /** 16 floats to half precision, to the nearest, ties to even. */
  void vcvtps2ph(Zmm to, Zmm from) {
    evex(MAP_0F3A, PREFIX_66, 0x1d, from.number(), 0, to);
    put(0);
  }

  /** To the nearest, ties to even. */
  void vcvtps2dq(Zmm to, Operand from) {
    evex(MAP_0F, PREFIX_66, 0x5b, to.number(), 0, from);
  }

  void vcvtdq2ps(Zmm to, Operand from) {
    evex(MAP_0F, PREFIX_NONE, 0x5b, to.number(), 0, from);
  }

  void vpxord(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_66, 0xef, to.number(), a.number(), b);
  }

  void vpandd(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_66, 0xdb, to.number(), a.number(), b);
  }

  void vpord(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_66, 0xeb, to.number(), a.number(), b);
  }

  void vpaddd(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_66, 0xfe, to.number(), a.number(), b);
  }

  void vpsubd(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_66, 0xfa, to.number(), a.number(), b);
  }

  /** The low 32 bits of products. */
  void vpmulld(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F38, PREFIX_66, 0x40, to.number(), a.number(), b);
  }

  /** To each lane adds the products of four unsigned bytes of {@code a} and signed of {@code b}. */
  void vpdpbusd(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F38, PREFIX_66, 0x50, to.number(), a.number(), b);
  }

  void vpsrld(Zmm to, Operand from, int bits) {
    evex(MAP_0F, PREFIX_66, 0x72, 2, to.number(), from);
    put(bits);
  }

  void vpslld(Zmm to, Operand from, int bits) {
    evex(MAP_0F, PREFIX_66, 0x72, 6, to.number(), from);
    put(bits);
  }

  /** In each quarter of 4 lanes: lane i becomes what bits 2 i and 2 i + 1 of {@code order} name. */
  void vpshufd(Zmm to, Operand from, int order) {
    evex(MAP_0F, PREFIX_66, 0x70, to.number(), 0, from);
    put(order);
  }

  /** Quarters 0 and 1 become quarters of {@code a}, 2 and 3 of {@code b}, named as above. */
  void vshuff32x4(Zmm to, Zmm a, Operand b, int order) {
    evex(MAP_0F3A, PREFIX_66, 0x23, to.number(), a.number(), b);
    put(order);
  }

  void vmaxps(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_NONE, 0x5f, to.number(), a.number(), b);
  }

  void vdivps(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_NONE, 0x5e, to.number(), a.number(), b);
  }

  void vmulps(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F, PREFIX_NONE, 0x59, to.number(), a.number(), b);
  }

  /** to = a b + to, rounded once. */
  void vfmadd231ps(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F38, PREFIX_66, 0xb8, to.number(), a.number(), b);
  }

  /** to = to - a b, rounded once. */
  void vfnmadd231ps(Zmm to, Zmm a, Operand b) {
    evex(MAP_0F38, PREFIX_66, 0xbc, to.number(), a.number(), b);
  }
}
