// A doubly linked list whose links live in the elements: O(1) insert and remove, no allocation. An element is in at most
// one list per Link base (Tag tells several apart) and leaves it when destroyed. Not thread-safe.
#pragma once

namespace outrigger {

template <typename Tag>
class ListLink {
 public:
  ListLink() = default;
  ~ListLink() { Unlink(); }
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;

  bool linked() const { return next_ != nullptr; }
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;
  ListLink* next_ = nullptr;
  ListLink* prev_ = nullptr;
};

// T derives from ListLink<Tag>.
template <typename T, typename Tag = T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next_ = head_.prev_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) PopFront();
    head_.next_ = nullptr;  // so that the head's own destructor finds it unlinked
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return static_cast<T*>(head_.next_); }
  T* back() { return static_cast<T*>(head_.prev_); }

  void PushBack(T* element) { InsertBefore(&head_, element); }
  void PushFront(T* element) { InsertBefore(head_.next_, element); }
  T* PopFront() {
    T* element = front();
    static_cast<ListLink<Tag>*>(element)->Unlink();
    return element;
  }
  // Moves all elements of `other` to the back of this list.
  void TakeAll(IntrusiveList& other) {
    while (!other.empty()) PushBack(other.PopFront());
  }
  // Calls fn(T*) on each; fn may remove the element it is given, no other.
  template <typename Fn>
  void ForEach(Fn&& fn) {
    for (ListLink<Tag>* link = head_.next_; link != &head_;) {
      ListLink<Tag>* next = link->next_;
      fn(static_cast<T*>(link));
      link = next;
    }
  }

 private:
  static void InsertBefore(ListLink<Tag>* position, ListLink<Tag>* link) {
    link->Unlink();
    link->prev_ = position->prev_;
    link->next_ = position;
    position->prev_->next_ = link;
    position->prev_ = link;
  }

  ListLink<Tag> head_;
};

}  // namespace outrigger
