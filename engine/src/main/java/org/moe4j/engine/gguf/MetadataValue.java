package org.moe4j.engine.gguf;

/** Reads one metadata value: a number, a flag, a text or a list of them. */
final class MetadataValue {
  private static final int ARRAY = 9;

  private MetadataValue() {}

  /** Long, Double, Boolean, String, or long[], double[], boolean[], String[]. */
  static Object read(Cursor in, String key) {
    String what = "key " + GgufHeader.shown(key);
    int type = in.int32(what);
    return type == ARRAY ? list(in, what) : one(in, type, what);
  }

  private static Object one(Cursor in, int type, String what) {
    return switch (type) {
      case 0, 1, 2, 3, 4, 5, 10, 11 -> whole(in, type, what);
      case 6 -> (double) Float.intBitsToFloat(in.int32(what));
      case 7 -> in.int8(what) != 0;
      case 8 -> in.text(what);
      case 12 -> Double.longBitsToDouble(in.int64(what));
      default -> throw in.failure(what + " has a value of unknown type " + type);
    };
  }

  private static Object list(Cursor in, String what) {
    int type = in.int32(what);
    long least =
        switch (type) {
          case 0, 1, 7 -> 1;
          case 2, 3 -> 2;
          case 4, 5, 6 -> 4;
          case 8, 10, 11, 12 -> 8;
          case ARRAY -> throw in.failure(what + " is a list of lists, which is not supported");
          default -> throw in.failure(what + " is a list of unknown type " + type);
        };
    int count = in.count(in.int64(what), least, "values of " + what);
    return switch (type) {
      case 6, 12 -> {
        double[] list = new double[count];
        for (int i = 0; i < count; i++) {
          list[i] =
              type == 6
                  ? Float.intBitsToFloat(in.int32(what))
                  : Double.longBitsToDouble(in.int64(what));
        }
        yield list;
      }
      case 7 -> {
        boolean[] list = new boolean[count];
        for (int i = 0; i < count; i++) {
          list[i] = in.int8(what) != 0;
        }
        yield list;
      }
      case 8 -> {
        String[] list = new String[count];
        for (int i = 0; i < count; i++) {
          list[i] = in.text(what);
        }
        yield list;
      }
      default -> {
        long[] list = new long[count];
        for (int i = 0; i < count; i++) {
          list[i] = whole(in, type, what);
        }
        yield list;
      }
    };
  }

  private static long whole(Cursor in, int type, String what) {
    return switch (type) {
      case 0 -> in.int8(what) & 0xff;
      case 1 -> in.int8(what);
      case 2 -> in.int16(what) & 0xffff;
      case 3 -> in.int16(what);
      case 4 -> in.int32(what) & 0xffffffffL;
      case 5 -> in.int32(what);
      default -> in.int64(what);
    };
  }
}
