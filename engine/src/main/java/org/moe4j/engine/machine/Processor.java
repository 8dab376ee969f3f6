package org.moe4j.engine.machine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/** What the kernels ask of the machine. */
final class Processor {
  private static final List<String> NEEDED =
      List.of("avx512f", "avx512bw", "avx512vl", "avx512_vnni");

  private Processor() {}

  /** Why the kernels cannot run here; empty if they can. */
  static Optional<String> lack() {
    String system = System.getProperty("os.name", "");
    String machine = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
    if (!system.equals("Linux") || !(machine.equals("amd64") || machine.equals("x86_64"))) {
      return Optional.of("they are for x86-64 Linux, this is " + system + " on " + machine);
    }
    Path information = Path.of("/proc/cpuinfo");
    try {
      return lack(Files.readString(information, StandardCharsets.ISO_8859_1));
    } catch (IOException e) {
      return Optional.of("cannot read " + information + ": " + e.getMessage());
    }
  }

  /** The same for the text of {@code /proc/cpuinfo}. */
  static Optional<String> lack(String information) {
    Set<String> flags =
        information
            .lines()
            .filter(line -> line.startsWith("flags"))
            .findFirst()
            .map(
                line ->
                    Set.copyOf(
                        List.of(line.substring(line.indexOf(':') + 1).strip().split("\\s+"))))
            .orElse(Set.of());
    return NEEDED.stream()
        .filter(flag -> !flags.contains(flag))
        .findFirst()
        .map(flag -> "the processor has no " + flag);
  }
}
