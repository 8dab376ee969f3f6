package org.moe4j.train.config;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** One key of a record: a component with its name in the file, its type and its {@link Key}. */
record Field(String name, RecordComponent component, Key key) {
  /** The keys of {@code type} by name, in the order of declaration. */
  static Map<String, Field> of(Class<? extends Record> type) {
    Map<String, Field> fields = new LinkedHashMap<>();
    for (RecordComponent component : type.getRecordComponents()) {
      Key key =
          Optional.ofNullable(component.getAnnotation(Key.class))
              .orElseThrow(
                  () -> new IllegalArgumentException("no @Key on " + type + "." + component));
      String name = Names.kebab(component.getName());
      fields.put(name, new Field(name, component, key));
    }
    return fields;
  }

  /** Makes a record of {@code type} from the values of its components. */
  static <T extends Record> T construct(Class<T> type, List<Object> values) {
    try {
      Constructor<T> constructor =
          type.getDeclaredConstructor(
              Arrays.stream(type.getRecordComponents())
                  .map(RecordComponent::getType)
                  .toArray(Class<?>[]::new));
      constructor.setAccessible(true);
      return constructor.newInstance(values.toArray());
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  Object valueIn(Record config) {
    try {
      component.getAccessor().setAccessible(true);
      return component.getAccessor().invoke(config);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The component's class, for {@code Optional<X>} and {@code List<X>} that of X. */
  Class<?> valueType() {
    return is(Optional.class) || is(List.class)
        ? (Class<?>) argument(component.getGenericType())
        : component.getType();
  }

  private static Type argument(Type generic) {
    return ((ParameterizedType) generic).getActualTypeArguments()[0];
  }

  boolean is(Class<?> container) {
    return component.getType() == container;
  }

  boolean isSection() {
    return component.getType().isRecord();
  }

  /** The values this key takes, in words: "a whole number of at least 1". */
  String expected() {
    String one = Value.expected(valueType(), key);
    return is(List.class) ? one + ", or a list of such" : is(Map.class) ? "a table" : one;
  }
}
