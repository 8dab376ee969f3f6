package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Weights that Python stored, against the digests of low_bit_fixture.py. */
class LowBitFixtureTest {
  private static BlockScaled open(Safetensors in, String name) {
    return in.names().contains(name + Mxfp4Blocks.BLOCKS)
        ? Mxfp4Blocks.open(in, name)
        : Fp8Blocks.open(in, name + ".weight", 128, 128);
  }

  private static String digest(Tensor t) throws Exception {
    byte[] bytes = t.bitsAs(DType.U8).toBytes();
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  @Test
  void standsForWhatPythonSays() throws Exception {
    Path folder = Path.of(LowBitFixtureTest.class.getResource("/lowbit").toURI());
    List<String> lines = Files.readAllLines(folder.resolve("expected.txt"));
    assertThat(lines).hasSize(7);
    for (String line : lines) {
      List<String> fields = List.of(line.split(" ", -1));
      Path file = folder.resolve(fields.get(0) + ".safetensors");
      try (Scope scope = Scope.open();
          Safetensors in = Safetensors.open(file)) {
        BlockScaled weight = open(in, fields.get(1));
        String shape =
            Arrays.stream(weight.shape()).mapToObj(Long::toString).collect(Collectors.joining("x"));
        assertThat(shape).isEqualTo(fields.get(2));
        assertThat(digest(weight.load(DType.F32))).as(line).isEqualTo(fields.get(3));
        assertThat(digest(weight.load(DType.BF16))).as(line).isEqualTo(fields.get(4));
      }
    }
  }
}
