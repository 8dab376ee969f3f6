package org.moe4j.tensor;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What safetensors_fixture.py writes, and files with headers of any content. */
final class SafetensorsFixture {
  static final Map<String, String> METADATA = new LinkedHashMap<>();

  static {
    METADATA.put("format", "pt");
    METADATA.put("note", "ä\n");
  }

  private SafetensorsFixture() {}

  static List<SafetensorsWriter.Item> items() {
    List<SafetensorsWriter.Item> items = new ArrayList<>();
    for (DType d : DType.values()) {
      items.add(SafetensorsWriter.Item.of(d.label(), Tensor.of(values(d), shape(d)), d));
    }
    items.add(SafetensorsWriter.Item.of("scalar", Tensor.scalar(2.5, DType.F32)));
    items.add(SafetensorsWriter.Item.of("empty", Tensor.zeros(0, 3)));
    items.add(SafetensorsWriter.Item.of("größe \uD83D\uDC0D", Tensor.of(new long[] {7})));
    return items;
  }

  static double[] values(DType d) {
    double[] v = new double[6];
    for (int i = 0; i < 6; i++) {
      v[i] =
          switch (d) {
            case U8 -> i * 50;
            case BOOL -> i % 2;
            case I64, I32, I16, I8 -> i - 3;
            case F8_E8M0 -> Math.scalb(1.0, i - 2);
            default -> i * 0.5 - 1;
          };
    }
    return v;
  }

  static long[] shape(DType d) {
    return switch (d) {
      case U8 -> new long[] {6};
      case BOOL -> new long[] {1, 6};
      case I64, I32, I16, I8 -> new long[] {3, 2};
      default -> new long[] {2, 3};
    };
  }

  /** A file with this header and this many bytes of values. */
  static Path file(Path file, String header, int dataBytes) throws IOException {
    return file(file, header.getBytes(StandardCharsets.UTF_8), dataBytes);
  }

  static Path file(Path file, byte[] header, int dataBytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(length(header.length));
    out.write(header);
    out.write(new byte[dataBytes]);
    return Files.write(file, out.toByteArray());
  }

  static byte[] length(long n) {
    return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(n).array();
  }
}
