package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class NativeMemoryTest {
  private static final int[] SIZES = {1, 64, 65, 100_000, 3 << 20, 17 << 20, 70 << 20};

  @Test
  void piecesAreZeroApartAndOnLinesOfTheCache() {
    try (Arena arena = Arena.ofConfined()) {
      NativeMemory memory = new NativeMemory(arena);
      List<MemorySegment> pieces = new ArrayList<>();
      for (int round = 0; round < 3; round++) {
        for (int size : SIZES) {
          MemorySegment piece = memory.allocate(size, 64);
          assertThat(piece.byteSize()).isEqualTo(size);
          assertThat(piece.address() % 64).isZero();
          assertThat(piece.get(ValueLayout.JAVA_BYTE, 0)).isZero();
          assertThat(piece.get(ValueLayout.JAVA_BYTE, size - 1)).isZero();
          piece.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
          piece.set(ValueLayout.JAVA_BYTE, size - 1, (byte) 1);
          assertThat(pieces).allMatch(other -> other.asOverlappingSlice(piece).isEmpty());
          pieces.add(piece);
        }
      }
    }
  }

  @Test
  void memoryEndsWithItsArena() {
    MemorySegment piece;
    try (Arena arena = Arena.ofShared()) {
      piece = new NativeMemory(arena).allocate(1000, 64);
    }
    assertThat(piece.scope().isAlive()).isFalse();
  }

  @Test
  void linuxIsAskedForHugePages() throws IOException {
    Path smaps = Path.of("/proc/self/smaps");
    assumeThat(smaps).isReadable();
    assumeThat(Path.of("/sys/kernel/mm/transparent_hugepage/enabled")).isReadable();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = new NativeMemory(arena).allocate(1000, 64);
      assertThat(piece.address() % (2 << 20)).isZero();
      List<String> lines = Files.readAllLines(smaps);
      String start = Long.toHexString(piece.address()) + "-";
      int at = 0;
      while (!lines.get(at).startsWith(start)) {
        at++;
      }
      while (!lines.get(at).startsWith("VmFlags:")) {
        at++;
      }
      assertThat(lines.get(at)).contains(" hg");
    }
  }
}
