package org.moe4j.engine.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.moe4j.engine.EngineException;

class ExecutableMemoryTest {
  @BeforeEach
  void linuxOnX86() {
    assumeThat(System.getProperty("os.name")).isEqualTo("Linux");
    assumeThat(System.getProperty("os.arch")).isEqualTo("amd64");
  }

  /** What the system says of the pages at an address; empty if none are there. */
  private static List<String> permissions(long address) throws IOException {
    try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines
          .filter(
              line -> {
                String[] range = line.substring(0, line.indexOf(' ')).split("-", 2);
                return Long.compareUnsigned(Long.parseUnsignedLong(range[0], 16), address) <= 0
                    && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0;
              })
          .map(line -> line.split(" ", 3)[1])
          .toList();
    }
  }

  @Test
  void runsAndIsNoLongerWritten() throws Throwable {
    Assembler a = new Assembler();
    a.mov(Gpr.RAX, 1234);
    a.ret();
    try (ExecutableMemory memory = ExecutableMemory.of(a.code())) {
      assertThat(permissions(memory.code().address())).containsExactly("r-xp");
      var call =
          Linker.nativeLinker()
              .downcallHandle(memory.code(), FunctionDescriptor.of(ValueLayout.JAVA_INT));
      assertThat((int) call.invokeExact()).isEqualTo(1234);
    }
  }

  @Test
  void isGoneAfterClosing() throws IOException {
    ExecutableMemory memory = ExecutableMemory.of(new byte[5000]);
    memory.close();
    assertThat(permissions(memory.code().address())).isEmpty();
  }

  @Test
  void saysWhatTheSystemRefuses() {
    assertThatThrownBy(() -> SystemMemory.map(1L << 60))
        .isInstanceOf(EngineException.class)
        .hasMessage("the system refuses memory (mmap, error 12)");
  }

  @Test
  void processorsAreAskedForTheirFlags() {
    String all = "processor : 0\nflags\t\t: fpu avx512f avx512bw avx512vl avx512_vnni\n";
    assertThat(Processor.lack(all)).isEmpty();
    assertThat(Processor.lack(all.replace(" avx512_vnni", "")))
        .isEqualTo(Optional.of("the processor has no avx512_vnni"));
    assertThat(Processor.lack("")).isEqualTo(Optional.of("the processor has no avx512f"));
  }
}
