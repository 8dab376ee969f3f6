package org.moe4j.engine.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.moe4j.engine.machine.Gpr.*;
import static org.moe4j.engine.machine.Operand.at;
import static org.moe4j.engine.machine.Operand.zmm;

import java.util.HexFormat;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Against the bytes that the GNU assembler writes. */
class AssemblerTest {
  private static void check(String bytes, Consumer<Assembler> instruction) {
    Assembler a = new Assembler();
    instruction.accept(a);
    assertThat(HexFormat.of().formatHex(a.code())).isEqualTo(bytes);
  }

  @Test
  void generalRegisters() {
    check("4989f5", a -> a.mov(R13, RSI));
    check("498b5028", a -> a.mov(RDX, at(R8, 40)));
    check("4c8b642408", a -> a.mov(R12, at(RSP, 8)));
    check("bb00000000", a -> a.mov(RBX, 0));
    check("41b90f0f0f0f", a -> a.mov(R9, 0x0f0f0f0f));
    check("4883c730", a -> a.add(RDI, 48));
    check("4981c540020000", a -> a.add(R13, 576));
    check("4901d5", a -> a.add(R13, RDX));
    check("4839d3", a -> a.cmp(RBX, RDX));
    check("53", a -> a.push(RBX));
    check("4154", a -> a.push(R12));
    check("5d", a -> a.pop(RBP));
    check("415d", a -> a.pop(R13));
    check("c3", a -> a.ret());
    check("c5f877", a -> a.vzeroupper());
  }

  @Test
  void movesBetweenVectorsAndMemory() {
    check("62f17c48107f01", a -> a.vmovups(zmm(7), at(RDI, 64)));
    check("62417c4810bd41000000", a -> a.vmovups(zmm(31), at(R13, 65)));
    check("62c17c4810041c", a -> a.vmovups(zmm(16), at(R12, RBX, 0)));
    check("62717c48104500", a -> a.vmovups(zmm(8), at(RBP, 0)));
    check("62517c48104500", a -> a.vmovups(zmm(8), at(R13, 0)));
    check("62617c4811417f", a -> a.vmovups(at(RCX, 8128), zmm(24)));
    check("62717c48118900200000", a -> a.vmovups(at(RCX, 8192), zmm(9)));
    check("62f17c48105980", a -> a.vmovups(zmm(3), at(RCX, -8192)));
    check("62f17e48116e09", a -> a.vmovss(at(RSI, 36), zmm(5)));
    check("62e27e48314e01", a -> a.vpmovdb(at(RSI, 16), zmm(17)));
    check("62c27d4858641b09", a -> a.vpbroadcastd(zmm(20), at(R11, RBX, 36)));
    check("62627d487ce3", a -> a.vpbroadcastd(zmm(28), RBX));
    check("62d27d487cd1", a -> a.vpbroadcastd(zmm(2), R9));
    check("62f27d48317701", a -> a.vpmovzxbd(zmm(6), at(RDI, 16)));
    check("62427d48215502", a -> a.vpmovsxbd(zmm(26), at(R13, 32)));
  }

  @Test
  void conversions() {
    check("62e27d48135701", a -> a.vcvtph2ps(zmm(18), at(RDI, 32)));
    check("62b27d4813e5", a -> a.vcvtph2ps(zmm(4), zmm(21)));
    check("62e37d481dec00", a -> a.vcvtps2ph(zmm(4), zmm(21)));
    check("62917d485bce", a -> a.vcvtps2dq(zmm(1), zmm(30)));
    check("62417c485bc9", a -> a.vcvtdq2ps(zmm(25), zmm(9)));
  }

  @Test
  void integers() {
    check("62010540efff", a -> a.vpxord(zmm(31), zmm(31), zmm(31)));
    check("62d16d40dbc9", a -> a.vpandd(zmm(1), zmm(18), zmm(9)));
    check("62716d48db5f02", a -> a.vpandd(zmm(11), zmm(2), at(RDI, 128)));
    check("62e10d40ebeb", a -> a.vpord(zmm(21), zmm(30), zmm(3)));
    check("62f14d48feef", a -> a.vpaddd(zmm(5), zmm(6), zmm(7)));
    check("62317d40faf9", a -> a.vpsubd(zmm(15), zmm(16), zmm(17)));
    check("62427d4840ea", a -> a.vpmulld(zmm(29), zmm(0), zmm(10)));
    check("62c2254050dc", a -> a.vpdpbusd(zmm(19), zmm(27), zmm(12)));
    check("6252555850541a07", a -> a.vpdpbusd(zmm(10), zmm(5), at(R10, RBX, 28).each()));
    check("6272555850941a00020000", a -> a.vpdpbusd(zmm(10), zmm(5), at(RDX, RBX, 512).each()));
    check("62f13d4072d304", a -> a.vpsrld(zmm(24), zmm(3), 4));
    check("62d1655872741c0904", a -> a.vpslld(zmm(3), at(R12, RBX, 36).each(), 4));
  }

  @Test
  void linesAreAskedFor() {
    check("400f185740", a -> a.prefetcht1(at(RDI, 64)));
    check("410f18950001" + "0000", a -> a.prefetcht1(at(R13, 256)));
  }

  @Test
  void gathers() {
    String mask = "c5f446c9";
    check(mask + "62b27d4990bc37ce000000", a -> a.vpgatherdd(zmm(7), RDI, zmm(14), 206));
    check(mask + "62c27d4990a40a00020000", a -> a.vpgatherdd(zmm(20), R10, zmm(1), 512));
    check("62f27e48334601", a -> a.vpmovdw(at(RSI, 32), zmm(0)));
    check("62f27e48335e03", a -> a.vpmovdw(at(RSI, 96), zmm(3)));
  }

  @Test
  void floats() {
    check("62e17d4870da4e", a -> a.vpshufd(zmm(19), zmm(2), 0x4e));
    check("62a36d4823dab1", a -> a.vshuff32x4(zmm(19), zmm(2), zmm(18), 0xb1));
    check("62b164485fd3", a -> a.vmaxps(zmm(2), zmm(3), zmm(19)));
    check("62b15c405ee1", a -> a.vdivps(zmm(4), zmm(20), zmm(17)));
    check("6261645859441808", a -> a.vmulps(zmm(24), zmm(3), at(RAX, RBX, 32).each()));
    check("62925d40b8c7", a -> a.vfmadd231ps(zmm(0), zmm(20), zmm(31)));
    check("62724d50bc6c1d0b", a -> a.vfnmadd231ps(zmm(13), zmm(22), at(RBP, RBX, 44).each()));
  }

  /** Behind the last byte of the jump counts. */
  @Test
  void jumpsGoBack() {
    Assembler a = new Assembler();
    a.ret();
    int target = a.here();
    a.add(RDI, 48);
    a.jb(target);
    assertThat(HexFormat.of().formatHex(a.code())).isEqualTo("c3" + "4883c730" + "0f82f6ffffff");
  }

  @Test
  void programsBeginOnLinesOfTheCache() {
    Assembler a = new Assembler();
    a.align();
    assertThat(a.here()).isZero();
    a.ret();
    a.align();
    assertThat(a.here()).isEqualTo(64);
  }
}
