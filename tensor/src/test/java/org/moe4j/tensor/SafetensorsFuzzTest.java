package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/** Random damage ends in a MoeException or in a valid read, never in anything else. */
class SafetensorsFuzzTest {
  private static byte[] whole = new byte[0];
  private static Path file = Path.of("");

  @BeforeContainer
  static void write() throws IOException {
    file = Files.createTempFile("fuzz", ".safetensors");
    try (Scope scope = Scope.open()) {
      SafetensorsWriter.writeFile(file, SafetensorsFixture.items(), Map.of("k", "v"));
    }
    whole = Files.readAllBytes(file);
  }

  @AfterContainer
  static void delete() throws IOException {
    Files.delete(file);
  }

  @Property(tries = 2000)
  void flippedBits(@ForAll @Size(min = 1, max = 4) Set<@IntRange(max = 12_000) Integer> bits)
      throws IOException {
    BitSet damaged = BitSet.valueOf(whole);
    // Most of the damage goes where the structure is: the length and the header.
    bits.forEach(b -> damaged.flip(b % (whole.length * 8)));
    byte[] bytes = new byte[whole.length];
    byte[] shortened = damaged.toByteArray();
    System.arraycopy(shortened, 0, bytes, 0, shortened.length);
    readsOrRefuses(bytes);
  }

  @Property(tries = 1000)
  void overwrittenBytes(@ForAll @IntRange(max = 1_200) int at, @ForAll @Size(max = 8) byte[] noise)
      throws IOException {
    byte[] bytes = whole.clone();
    for (int i = 0; i < noise.length; i++) {
      bytes[(at + i) % bytes.length] = noise[i];
    }
    readsOrRefuses(bytes);
  }

  private static void readsOrRefuses(byte[] bytes) throws IOException {
    Files.write(file, bytes);
    try (Scope scope = Scope.open();
        Safetensors in = Safetensors.open(file)) {
      for (String name : in.names()) {
        assertThat(in.load(name).numel()).isEqualTo(in.describe(name).elements());
      }
    } catch (MoeException e) {
      assertThat(e.getMessage()).contains(file.getFileName().toString()).doesNotContain("\n");
    }
  }
}
